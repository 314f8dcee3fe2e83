"""Influence of each input of the network, and the inputs it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backbones.dit import DiT

Build = Callable[..., DiT]


def influence(net: DiT, tokens: Tensor) -> Tensor:
    """(L, L) absolute gradient of output position i by the embedding of input position j."""
    entered: list[Tensor] = []

    def keep(module: torch.nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        entered.append(out.detach().requires_grad_())
        return entered[0]

    with net.embedding.register_forward_hook(keep):
        hidden = net(tokens[:1])
    rows = []
    for i in range(tokens.shape[1]):
        (gradient,) = torch.autograd.grad(hidden[0, i].square().sum(), entered, retain_graph=True)
        rows.append(gradient[0].abs().sum(-1))
    return torch.stack(rows)


def test_causal_sees_the_past_only(build: Build, tokens: Tensor) -> None:
    seen = influence(build(causal=True), tokens) > 0
    assert torch.equal(seen, torch.ones(10, 10, dtype=torch.bool).tril())


def test_full_attention_sees_everything(build: Build, tokens: Tensor) -> None:
    assert bool((influence(build(), tokens) > 0).all())


def test_no_level_means_level_zero(build: Build, tokens: Tensor) -> None:
    net = build()
    torch.testing.assert_close(net(tokens), net(tokens, torch.zeros(3)), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(net(tokens), net(tokens, torch.full((3,), 0.2)), atol=1e-2)


def test_level_acts_per_sequence_in_any_precision(build: Build, tokens: Tensor) -> None:
    net = build()
    levels = torch.tensor([0.25, 0.5, 0.75])
    together = net(tokens, levels.double())
    for row in range(3):
        alone = net(tokens[row : row + 1], levels[row : row + 1].bfloat16())
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_one_hot_weights_are_hard_tokens(build: Build, tokens: Tensor) -> None:
    net = build()
    candidates = torch.stack([tokens.flip(0), tokens, tokens.flip(1)], dim=-1)
    weights = torch.tensor([0.0, 1.0, 0.0]).expand(3, 10, 3)
    gradients = []
    for hidden in (net(tokens), net(candidates, weights=weights)):
        net.zero_grad()
        (hidden * torch.linspace(-1, 1, 32)).sum().backward()
        assert net.embedding.weight.grad is not None
        gradients.append((hidden.detach(), net.embedding.weight.grad.clone()))
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0][1].abs().sum() > 0


def test_soft_tokens_are_the_weighted_sum_of_rows(build: Build) -> None:
    net = build()
    generator = torch.Generator().manual_seed(2)
    soft = torch.randint(0, 12, (3, 10, 4), generator=generator)
    weights = torch.rand(3, 10, 4, generator=generator, dtype=torch.float64)
    entered: list[Tensor] = []
    with net.blocks[0].register_forward_pre_hook(lambda _, args: entered.append(args[0])):
        net(soft, weights=weights)
    one_hot = F.one_hot(soft, 12).double()
    expected = torch.einsum("blk,blkn,nd->bld", weights, one_hot, net.embedding.weight.double())
    torch.testing.assert_close(entered[0].double(), expected, atol=1e-6, rtol=1e-5)


def test_embeddings_enter_as_they_are(build: Build, tokens: Tensor) -> None:
    """A mixture of the caller's replaces the look-up, and carries its gradient."""
    net = build()
    level = torch.tensor([0.1, 0.5, 0.9])
    results = []
    for given in (tokens, F.one_hot(tokens, 12).float() @ net.embedding.weight):
        hidden = net(given, level)
        (hidden * torch.linspace(-1, 1, 32)).sum().backward()
        assert net.embedding.weight.grad is not None
        results.append((hidden.detach(), net.embedding.weight.grad.clone()))
        net.zero_grad()
    torch.testing.assert_close(results[0], results[1])
    mixed = torch.randn(3, 10, 32, generator=torch.Generator().manual_seed(3))
    entered: list[Tensor] = []
    with net.blocks[0].register_forward_pre_hook(lambda _, args: entered.append(args[0])):
        net(mixed, level)
    assert torch.equal(entered[0], mixed)


def test_dropout_falls_on_the_branch_and_keeps_its_mean() -> None:
    torch.manual_seed(0)
    net = DiT(3, hidden_size=64, length=64, n_blocks=1, n_heads=2, dropout=0.25, causal=True)
    block = net.blocks[0]
    with torch.no_grad():
        for parameter in (block.attention.out.weight, block.mlp[2].weight):
            parameter.zero_()
        block.mlp[2].bias.fill_(3.0)
    seen: list[Tensor] = []
    block.register_forward_hook(lambda _, args, out: seen.append(out - args[0]))
    tokens = torch.randint(0, 4, (8, 64))
    net.train()(tokens)
    net.eval()(tokens)
    dropped = seen[0].abs() < 1e-5
    torch.testing.assert_close(seen[0][~dropped], torch.full_like(seen[0][~dropped], 4.0))
    error = (0.25 * 0.75 / dropped.numel()) ** 0.5
    assert abs(dropped.float().mean() - 0.25) < 4 * error
    torch.testing.assert_close(seen[1], torch.full_like(seen[1], 3.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_heads": 5}, "model.n_heads=5: model.hidden_size=32"),
        ({"n_heads": 32}, "model.n_heads=32: model.hidden_size=32"),
        ({"n_heads": 0}, "model.n_heads=0"),
        ({"n_blocks": 0}, "model.n_blocks=0"),
        ({"dropout": 1.0}, "model.dropout=1.0"),
        ({"attention": "fast"}, r"model.attention='fast': choose from flash, flex, sdpa"),
    ],
)
def test_constructor_refuses_by_name(build: Build, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("causal", "arguments", "message"),
    [
        (False, {"tokens": torch.zeros(1, 25, dtype=torch.long)}, "model.length=24: .* 25 tokens"),
        (False, {"tokens": torch.zeros(1, 2, 3, dtype=torch.long)}, "with weights"),
        (
            False,
            {"tokens": torch.zeros(1, 2, dtype=torch.long), "weights": torch.ones(1, 2)},
            "with weights",
        ),
        (
            False,
            {"tokens": torch.zeros(1, 2)},
            r"shape \(1, 2\): give .* or embeddings \(B, L, D\)",
        ),
        (
            False,
            {"tokens": torch.zeros(1, 2, 32), "weights": torch.ones(1, 2, 32)},
            r"or embeddings \(B, L, D\)",
        ),
        (
            False,
            {"tokens": torch.zeros(2, 2, dtype=torch.long), "level": torch.ones(2, 1)},
            r"level of shape \(2, 1\)",
        ),
        (
            True,
            {"tokens": torch.zeros(1, 2, dtype=torch.long), "level": torch.ones(1)},
            "no noise level",
        ),
    ],
)
def test_forward_refuses_by_name(
    build: Build, causal: bool, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(causal=causal)(**arguments)
