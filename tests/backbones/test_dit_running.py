"""Ways to run the same network: recomputation, compilation, half precision."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from backbones.dit import DiT
from backbones.layers import Norm

Build = Callable[..., DiT]
# Raised by torch itself when its compiler is first imported.
quiet_compiler = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")


def value_and_gradients(net: DiT, tokens: Tensor, level: Tensor | None) -> list[Tensor]:
    net.zero_grad()
    torch.manual_seed(3)
    hidden = net(tokens, level)
    (hidden * torch.linspace(-1, 1, hidden.shape[-1])).sum().backward()
    return [hidden.detach()] + [p.grad.clone() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputation_changes_nothing(build: Build, tokens: Tensor, dropout: float) -> None:
    level = torch.tensor([0.1, 0.5, 0.9])
    results, calls = [], []
    for recompute in (False, True):
        net = build(dropout=dropout, activation_checkpointing=recompute).train()
        count: list[int] = []
        net.blocks[0].attention.register_forward_hook(lambda *_, count=count: count.append(1))
        results.append(value_and_gradients(net, tokens, level))
        calls.append(len(count))
    assert calls == [1, 2]
    torch.testing.assert_close(results[0], results[1])
    assert len(results[0]) == 1 + len(list(build().parameters())) - 2  # the head is not used


@quiet_compiler
# torch's tracer asks any tensor for its gradient and hides the warning only where it is shown.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("levels", ["none", "of texts", "of positions"])
def test_compiled_blocks_equal_eager_and_share_one_graph(
    build: Build, tokens: Tensor, levels: str
) -> None:
    causal, level = levels == "none", None
    if not causal:
        shape = tokens.shape if levels == "of positions" else tokens.shape[:1]
        level = torch.linspace(0.1, 0.9, math.prod(shape)).view(shape)
    expected = value_and_gradients(build(causal=causal), tokens, level)
    compiled = build(causal=causal, compile=True)
    torch.compiler.reset()
    counters.clear()
    # All of the tracing and differentiation, without the minute that a C++ compiler may take.
    with torch.compiler.set_stance("default", force_backend="aot_eager"):
        found = value_and_gradients(compiled, tokens, level)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


@pytest.mark.parametrize("causal", [False, True])
def test_half_precision_autocast_keeps_norms_and_residual_in_float32(
    build: Build, tokens: Tensor, causal: bool
) -> None:
    net = build(causal=causal)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    level = None if causal else torch.tensor([0.1, 0.5, 0.9])
    exact = net(tokens, level)
    kinds: set[tuple[torch.dtype, torch.dtype]] = set()
    norms = [net.norm] + [n for b in net.blocks for n in (b.norm_attention, b.norm_mlp)]
    for norm in norms:
        norm.register_forward_hook(lambda _, args, out: kinds.add((args[0].dtype, out.dtype)))
    inner: list[torch.dtype] = []
    net.blocks[0].attention.qkv.register_forward_hook(lambda *a: inner.append(a[2].dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = net(tokens, level)
    hidden.sum().backward()
    assert kinds == {(torch.float32, torch.float32)}
    assert inner == [torch.bfloat16]
    assert hidden.dtype == torch.float32
    relative = (hidden - exact).norm() / exact.norm()
    assert 1e-5 < relative < 0.02
    assert all(p.grad.dtype == torch.float32 for p in net.blocks.parameters())


def test_level_embedding_ignores_autocast(build: Build) -> None:
    embed = build().level
    level = torch.tensor([0.1, 0.5, 0.9])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = embed(level)
    assert torch.equal(inside, embed(level))


def test_norm_rounds_half_precision_once() -> None:
    generator = torch.Generator().manual_seed(0)
    x = (10 + torch.randn(2, 5, 32, generator=generator)).bfloat16()
    shift, scale = torch.randn(2, 2, 1, 32, generator=generator)
    norm = Norm(32)
    for modulation in ((), (shift, scale)):
        assert torch.equal(norm(x, *modulation), norm(x.float(), *modulation).bfloat16())


def test_pure_half_precision_runs(build: Build, tokens: Tensor) -> None:
    net = build().bfloat16()
    exact = build()(tokens, torch.full((3,), 0.5))
    hidden = net(tokens, torch.full((3,), 0.5))
    assert hidden.dtype == torch.bfloat16
    assert (hidden.float() - exact).norm() / exact.norm() < 0.1
