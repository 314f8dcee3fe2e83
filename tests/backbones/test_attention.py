"""Attention backends and the rotation against each other and against plain formulas."""

import importlib
import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from backbones.attention import (
    ATTENTION,
    CAUSAL,
    FLASH_2,
    FLASH_3,
    FULL,
    Pattern,
    _flash_kernel,
    pick_attention,
)
from backbones.dit import DiT
from backbones.rotary import rotary_table, turn

CPU = torch.device("cpu")


def heads(length: int, seed: int) -> Tensor:
    return torch.randn(2, 3, length, 16, generator=torch.Generator().manual_seed(seed))


def plain(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """Attention with a dense mask."""
    scores = q.double() @ k.double().transpose(-1, -2) / 4
    queries, keys = q.shape[2], k.shape[2]
    for i in range(queries):
        for j in range(keys):
            if not sees(pattern, keys - queries + i, j):
                scores[:, :, i, j] = -torch.inf
    return scores.softmax(-1) @ v.double()


def sees(pattern: Pattern, i: int, j: int) -> bool:
    """Whether the query at place i sees the key at place j, by cases."""
    if pattern.block is None:
        return True
    i_noisy, j_noisy = i < pattern.noisy, j < pattern.noisy
    i_block = (i if i_noisy else i - pattern.noisy) // pattern.block
    j_block = (j if j_noisy else j - pattern.noisy) // pattern.block
    if pattern.window is not None and i_block - j_block >= pattern.window:
        return False
    if i_noisy:
        return i_block == j_block if j_noisy else j_block < i_block
    return not j_noisy and j_block <= i_block


PATTERNS = [FULL, CAUSAL, Pattern(4), Pattern(7), Pattern(4, window=2)]
PATTERNS += [Pattern(4, noisy=12), Pattern(1, noisy=10), Pattern(3, window=2, noisy=11)]


@pytest.mark.parametrize("name", ["sdpa", "flex"])
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("queries", [1, 5, 20])
def test_backends_agree_with_a_dense_mask(name: str, pattern: Pattern, queries: int) -> None:
    q, k, v = heads(queries, 0), heads(20, 1), heads(20, 2)
    with torch.no_grad():
        out = pick_attention(name)(q, k, v, pattern)
    torch.testing.assert_close(out.double(), plain(q, k, v, pattern), atol=1e-6, rtol=1e-5)


def test_block_of_no_position_is_refused() -> None:
    with pytest.raises(ValueError, match="a block of 0 positions: at least 1"):
        Pattern(0)


def test_network_with_blocks_sees_its_block_and_those_before(
    build: Callable[..., DiT], tokens: Tensor
) -> None:
    net, other, length = build(pattern=Pattern(2)), tokens.clone(), tokens.shape[1]
    other[:, 4:] = (other[:, 4:] + 1) % 3
    with torch.no_grad():
        same = (net(tokens) == net(other)).all(-1).all(0)
    assert same.tolist() == [position < 4 for position in range(length)]


def test_network_takes_a_pattern_for_a_call(build: Callable[..., DiT], tokens: Tensor) -> None:
    """A noisy text behind which the clean one stands: each at the same positions."""
    net, length = build(), tokens.shape[1]
    other = (tokens + 1) % 3
    with torch.no_grad():
        assert torch.equal(net(tokens, pattern=Pattern(2)), build(pattern=Pattern(2))(tokens))
        both = net(torch.cat([other, tokens], 1), pattern=Pattern(length, noisy=length))
        torch.testing.assert_close(both[:, :length], net(other), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(both[:, length:], net(tokens), atol=1e-5, rtol=1e-5)
    longer = tokens.repeat(1, 1000 // length + 1)
    with pytest.raises(ValueError, match=r"model.length=.*: too short for \d+ tokens"):
        net(longer)
    assert net(longer, pattern=Pattern(2, window=2)).shape[1] == longer.shape[1]


def test_levels_of_positions_are_those_of_the_text_where_they_are_equal(
    build: Callable[..., DiT], tokens: Tensor
) -> None:
    net, level = build(), torch.rand(len(tokens))
    with torch.no_grad():
        by_position = net(tokens, level.unsqueeze(-1).expand(tokens.shape))
        torch.testing.assert_close(by_position, net(tokens, level), atol=1e-5, rtol=1e-5)
        levels = torch.rand(tokens.shape)
        assert not torch.allclose(net(tokens, levels), by_position, atol=1e-3)


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
        attend(heads(4, 0), heads(4, 1), heads(4, 2), FULL)
    with pytest.raises(ValueError, match=r"model.attention='flash' is full or causal"):
        attend(heads(4, 0), heads(4, 1), heads(4, 2), Pattern(2))


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


@pytest.mark.parametrize(
    ("installed", "capability", "taken"),
    [
        ((FLASH_2,), (9, 0), FLASH_2),
        ((FLASH_2, FLASH_3), (9, 0), FLASH_3),
        ((FLASH_3,), (9, 0), FLASH_3),
        ((FLASH_2, FLASH_3), (8, 0), FLASH_2),
        ((FLASH_3,), (10, 0), None),
    ],
)
def test_flash_takes_version_3_on_hopper_where_it_is_installed(
    installed: tuple[str, ...],
    capability: tuple[int, int],
    taken: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find, load = importlib.util.find_spec, importlib.import_module

    def found(name: str) -> Any:
        return (name if name in installed else None) if name in (FLASH_2, FLASH_3) else find(name)

    def loaded(name: str) -> Any:
        return SimpleNamespace(flash_attn_func=name) if name in installed else load(name)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    monkeypatch.setattr(importlib, "import_module", loaded)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA B200")
    assert pick_attention("flash") is ATTENTION["flash"]
    _flash_kernel.cache_clear()
    if taken is None:
        with pytest.raises(ValueError, match="FlashAttention 3 is for Hopper GPUs, not NVIDIA B2"):
            _flash_kernel(torch.device("cuda", 0))
    else:
        assert _flash_kernel(torch.device("cuda", 0)) == taken
    _flash_kernel.cache_clear()
