"""The network against a slow re-implementation in float64: loops, plain formulas, no torch.nn."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backbones.dit import DiT

Weights = dict[str, Tensor]


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    out = x @ w[name + ".weight"].T
    return out + w[name + ".bias"] if name + ".bias" in w else out


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def norm(x: Tensor, weight: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)


def rotate(vector: Tensor, position: int) -> Tensor:
    out, half = vector.clone(), len(vector) // 2
    for i in range(half):
        angle = position / 10000 ** (2 * i / len(vector))
        a, b = vector[i], vector[i + half]
        out[i] = a * math.cos(angle) - b * math.sin(angle)
        out[i + half] = b * math.cos(angle) + a * math.sin(angle)
    return out


def attend(w: Weights, prefix: str, x: Tensor, heads: int, causal: bool) -> Tensor:
    """One sequence (L, D)."""
    length, width = x.shape
    d = width // heads
    rows = linear(w, prefix + ".qkv", x)
    out = torch.zeros_like(x)
    for h in range(heads):
        q, k, v = (rows[:, j * width + h * d : j * width + (h + 1) * d] for j in range(3))
        q = torch.stack([rotate(q[i], i) for i in range(length)])
        k = torch.stack([rotate(k[i], i) for i in range(length)])
        for i in range(length):
            seen = i + 1 if causal else length
            scores = torch.exp(k[:seen] @ q[i] / math.sqrt(d))
            out[i, h * d : (h + 1) * d] = (scores / scores.sum()) @ v[:seen]
    return linear(w, prefix + ".out", out)


def condition(w: Weights, level: float) -> Tensor:
    rates = [math.exp(-math.log(10000) * i / 128) for i in range(128)]
    waves = [math.cos(level * r) for r in rates] + [math.sin(level * r) for r in rates]
    inner = silu(linear(w, "level.mlp.0", torch.tensor(waves, dtype=torch.float64)))
    return silu(linear(w, "level.mlp.2", inner))


def reference(net: DiT, sequence: Tensor, level: float, heads: int) -> Tensor:
    """Hidden states (L, D) of one sequence."""
    w = {name: value.double() for name, value in net.state_dict().items()}
    x = w["embedding.weight"][sequence]
    causal = net.causal
    c = None if causal else condition(w, level)
    width = x.shape[-1]
    for b in range(len(net.blocks)):
        p = f"blocks.{b}"
        mod = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 1.0]).double().repeat_interleave(width)
        mod = mod if c is None else linear(w, p + ".modulation", c)
        shift1, scale1, gate1, shift2, scale2, gate2 = mod.split(width)
        y = norm(x, w[p + ".norm_attention.weight"]) * (1 + scale1) + shift1
        x = x + gate1 * attend(w, p + ".attention", y, heads, causal)
        y = norm(x, w[p + ".norm_mlp.weight"]) * (1 + scale2) + shift2
        x = x + gate2 * linear(w, p + ".mlp.2", gelu(linear(w, p + ".mlp.0", y)))
    x = norm(x, w["norm.weight"])
    if c is None:
        return x
    shift, scale = linear(w, "modulation", c).split(width)
    return x * (1 + scale) + shift


@pytest.mark.parametrize("causal", [False, True])
def test_hidden_states_follow_the_formulas(
    build: Callable[..., DiT], tokens: Tensor, causal: bool
) -> None:
    net = build(causal=causal)
    levels = torch.tensor([0.0, 0.37, 6.9])
    hidden = net(tokens) if causal else net(tokens, levels)
    slow = [reference(net, s, t, 4) for s, t in zip(tokens, levels.tolist(), strict=True)]
    torch.testing.assert_close(hidden.double(), torch.stack(slow), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("width", "blocks", "heads", "inside", "total"),
    [(768, 12, 12, 92.1e6, 169.6e6), (1024, 24, 16, 321.2e6, 424.5e6)],
)
def test_parameter_counts_are_the_published_ones(
    width: int, blocks: int, heads: int, inside: float, total: float
) -> None:
    with torch.device("meta"):
        net = DiT(vocab_size=50257, hidden_size=width, length=8, n_blocks=blocks, n_heads=heads)
    assert abs(sum(p.numel() for p in net.blocks.parameters()) - inside) < 0.1e6
    assert abs(sum(p.numel() for p in net.parameters()) - total) < 0.1e6


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_state_dict_keys_never_change() -> None:
    per_block = [
        "norm_attention.weight",
        "attention.qkv.weight",
        "attention.out.weight",
        "norm_mlp.weight",
        "mlp.0.weight",
        "mlp.0.bias",
        "mlp.2.weight",
        "mlp.2.bias",
    ]
    outside = ["embedding.weight", "norm.weight", "head.weight", "head.bias"]
    level = [f"level.mlp.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")]
    plain = outside + [f"blocks.{b}.{key}" for b in range(2) for key in per_block]
    modulation = [
        f"{prefix}modulation.{part}"
        for prefix in ("", "blocks.0.", "blocks.1.")
        for part in ("weight", "bias")
    ]
    sizes = {"vocab_size": 5, "hidden_size": 8, "length": 4, "n_blocks": 2, "n_heads": 2}
    for options in ({}, {"compile": True}, {"activation_checkpointing": True}):
        with torch.device("meta"):
            conditioned = DiT(**sizes, **options).state_dict()
            causal = DiT(**sizes, **options, causal=True).state_dict()
        assert sorted(conditioned) == sorted(plain + level + modulation)
        assert sorted(causal) == sorted(plain)


def test_first_loss_is_that_of_a_uniform_guess(tokens: Tensor) -> None:
    net = DiT(vocab_size=11, hidden_size=16, length=10, n_blocks=1, n_heads=2)
    logits = net.head(net(tokens, torch.rand(3)))
    assert logits.shape == (3, 10, 11)
    nats = -torch.log_softmax(logits, -1)
    torch.testing.assert_close(nats, torch.full_like(nats, math.log(11)))
    with torch.device("meta"):
        wider = DiT(vocab_size=11, hidden_size=16, length=9, n_blocks=1, n_heads=2, outputs=12)
    assert wider.head.out_features == 12
    assert wider.embedding.num_embeddings == 12


def test_initial_blocks_are_the_identity_and_the_embedding_is_kaiming(tokens: Tensor) -> None:
    torch.manual_seed(0)
    net = DiT(vocab_size=5000, hidden_size=64, length=10, n_blocks=2, n_heads=2)
    x = net.embedding(tokens)
    torch.testing.assert_close(net(tokens), torch.layer_norm(x, (64,), eps=1e-5))
    bound = 1 / 8  # sqrt(6 / ((1 + 5) * 64))
    weight = net.embedding.weight
    assert 0.999 * bound < weight.abs().max() <= bound
    # The deviation of n uniform draws has a standard error below bound / sqrt(n).
    assert abs(weight.std() - bound / math.sqrt(3)) < 4 * bound / math.sqrt(weight.numel())
