"""Attention backends and the rotation against each other and against plain formulas."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backbones.attention import ATTENTION, pick_attention
from backbones.dit import DiT
from backbones.rotary import rotary_table, turn

CPU = torch.device("cpu")


def heads(length: int, seed: int) -> Tensor:
    return torch.randn(2, 3, length, 16, generator=torch.Generator().manual_seed(seed))


def plain(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    scores = q.double() @ k.double().transpose(-1, -2) / 4
    if causal:
        offset = k.shape[2] - q.shape[2]
        for i in range(q.shape[2]):
            scores[:, :, i, i + offset + 1 :] = -torch.inf
    return scores.softmax(-1) @ v.double()


@pytest.mark.parametrize("name", ["sdpa", "flex"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("queries", [1, 5, 20])
def test_backends_agree(name: str, causal: bool, queries: int) -> None:
    q, k, v = heads(queries, 0), heads(20, 1), heads(20, 2)
    with torch.no_grad():
        out = pick_attention(name)(q, k, v, causal)
    torch.testing.assert_close(out.double(), plain(q, k, v, causal), atol=1e-6, rtol=1e-5)


def test_flex_networks_equal_sdpa_networks_and_refuse_to_train_on_a_cpu(
    build: Callable[..., DiT], tokens: Tensor
) -> None:
    for causal in (False, True):
        net = build(causal=causal, attention="flex")
        with torch.no_grad():
            torch.testing.assert_close(
                net(tokens), build(causal=causal)(tokens), atol=1e-5, rtol=1e-5
            )
        with pytest.raises(ValueError, match=r"model.attention='flex' cannot train on a CPU"):
            net(tokens)


def test_flash_refuses_early_and_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"model.attention='flash'.*pip install flash-attn"):
        DiT(vocab_size=3, hidden_size=8, length=4, n_blocks=1, n_heads=2, attention="flash")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    attend = pick_attention("flash")
    assert attend is ATTENTION["flash"]
    with pytest.raises(ValueError, match=r"model.attention='flash' needs a CUDA device, not cpu"):
        attend(heads(4, 0), heads(4, 1), heads(4, 2), False)


def test_rotation_is_complex_multiplication() -> None:
    x = torch.randn(2, 1000, 3, 16, generator=torch.Generator().manual_seed(0))
    rates = 10000.0 ** (-torch.arange(8, dtype=torch.float64) / 8)
    angles = torch.arange(1000, dtype=torch.float64)[:, None, None] * rates
    pairs = torch.complex(x[..., :8].double(), x[..., 8:].double())
    rotated = pairs * torch.polar(torch.ones_like(angles), angles)
    expected = torch.cat([rotated.real, rotated.imag], -1)
    torch.testing.assert_close(
        turn(x, rotary_table(1000, 16, CPU)).double(), expected, atol=1e-6, rtol=1e-6
    )


def test_scores_depend_on_position_differences_only() -> None:
    vectors = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    q, k = (turn(v.expand(1, 64, 1, 8), rotary_table(64, 8, CPU))[0, :, 0] for v in vectors)
    scores = q @ k.T  # (64, 64)
    for shift in range(-20, 21):
        diagonal = scores.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)
    assert scores[0].std() > 0.1


def test_tables_made_while_evaluating_can_train(build: Callable[..., DiT], tokens: Tensor) -> None:
    rotary_table.cache_clear()
    net = build()
    with torch.inference_mode():
        net(tokens)
    net(tokens).sum().backward()
    assert net.embedding.weight.grad is not None
