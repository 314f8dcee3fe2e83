"""Ways to run the same network: KV cache, recomputation, compilation, half precision."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from backbones import DiT, KVCache
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


@pytest.mark.parametrize("steps", [[1] * 10, [6, 1, 1, 1, 1], [3, 4, 3], [10]])
@torch.no_grad()
def test_cache_gives_the_full_forward(build: Build, tokens: Tensor, steps: list[int]) -> None:
    net = build(causal=True)
    cache = KVCache(12)
    parts = [net(part, cache=cache) for part in tokens.split(steps, dim=1)]
    assert cache.position == 10
    torch.testing.assert_close(torch.cat(parts, 1), net(tokens), atol=1e-5, rtol=1e-5)


def test_cache_is_filled_in_place() -> None:
    cache = KVCache(8)
    first, _ = cache.extend(0, torch.ones(2, 3, 2, 4), torch.ones(2, 3, 2, 4))
    cache.position = 2
    keys, values = cache.extend(0, torch.full((2, 3, 1, 4), 5.0), torch.zeros(2, 3, 1, 4))
    assert keys.shape == values.shape == (2, 3, 3, 4)
    assert keys.data_ptr() == first.data_ptr()
    assert keys[0, 0, :, 0].tolist() == [1.0, 1.0, 5.0]


def test_cache_refuses_overflow_and_gradients(build: Build, tokens: Tensor) -> None:
    net = build(causal=True)
    with pytest.raises(ValueError, match=r"torch.no_grad\(\)"):
        net(tokens, cache=KVCache(24))
    with torch.no_grad():
        with pytest.raises(ValueError, match="KV cache of length 8: 0 tokens read"):
            net(tokens, cache=KVCache(8))
        cache = KVCache(100)
        for _ in range(2):
            net(tokens, cache=cache)
        with pytest.raises(ValueError, match=r"model.length=24: too short for 30 tokens"):
            net(tokens, cache=cache)


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
@pytest.mark.parametrize("causal", [False, True])
def test_compiled_blocks_equal_eager_and_share_one_graph(
    build: Build, tokens: Tensor, causal: bool
) -> None:
    level = None if causal else torch.tensor([0.1, 0.5, 0.9])
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


@quiet_compiler
@torch.no_grad()
def test_cache_runs_compiled_networks_eagerly(build: Build, tokens: Tensor) -> None:
    net = build(causal=True, compile=True)
    eager = copy.deepcopy(net)  # a copy is not compiled
    with torch.compiler.set_stance("fail_on_recompile"):
        cache = KVCache(10)
        parts = [net(part, cache=cache) for part in tokens.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), eager(tokens), atol=1e-5, rtol=1e-5)


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
