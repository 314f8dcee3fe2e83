"""The parts of the transformer: norm, noise-level embedding, self-attention, block."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention import Attend, Pattern
from backbones.memory import LayerMemory
from backbones.rotary import Rotary, turn

EPSILON = 1e-5
WAVES = 256
PERIOD = 10000.0

Layer = TypeVar("Layer", bound=nn.Linear)


class Norm(nn.Module):
    """weight * (x - mean) / sqrt(var + 1e-5), then * (1 + scale) + shift; float32, dtype kept."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(
        self, x: Tensor, shift: Tensor | None = None, scale: Tensor | None = None
    ) -> Tensor:
        """x (B, L, D); shift and scale broadcast to it, both or neither."""
        weight = self.weight.float()
        if shift is None or scale is None:
            return F.layer_norm(x.float(), weight.shape, weight, eps=EPSILON).to(x.dtype)
        # The weight joins the scale, (B, 1, D) numbers, so that one (B, L, D) pass does both.
        unit = F.layer_norm(x.float(), weight.shape, eps=EPSILON)
        return torch.addcmul(shift.float(), unit, weight * (1 + scale.float())).to(x.dtype)


class Embedding(nn.Embedding):
    """A table whose rows are used within calls of the module alone, as those of `Head`."""

    def reset_parameters(self) -> None:
        super().reset_parameters()  # whose numbers the generator goes through, as published
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, tokens: Tensor, use: Callable[[Tensor, Tensor], Any] | None = None) -> Any:
        """Rows (..., D) of tokens (...), or use(the table, tokens)."""
        return F.embedding(tokens, self.weight) if use is None else use(self.weight, tokens)


class LevelEmbedding(nn.Module):
    """SiLU(MLP([cos(level f), sin(level f)])), f_i = 10000 ** (-i / 128), i < 128; float32."""

    def __init__(self, cond_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(WAVES, cond_dim), nn.SiLU(), nn.Linear(cond_dim, cond_dim)
        )

    def forward(self, level: Tensor) -> Tensor:
        """(B,) or (B, L) -> (..., cond_dim)."""
        half = WAVES // 2
        index = torch.arange(half, dtype=torch.float32, device=level.device)
        angles = level.float().unsqueeze(-1) * torch.exp(index * (-math.log(PERIOD) / half))
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1)  # (..., 256)
        # A few kiloflops per sequence: half precision would only blur the noise level.
        with torch.autocast(level.device.type, enabled=False):
            return F.silu(self.mlp(waves.to(next(self.mlp.parameters()).dtype)))


class Linear(nn.Linear):
    """torch's. What compiles it sums the bias's gradient over each text first, in the kernel that
    makes the gradient of the outputs; a sum over all rows at once reads that once more."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, inputs) -> (B, L, outputs)."""
        if not torch.compiler.is_compiling():
            return super().forward(x)
        return F.linear(x, self.weight) + self.bias.expand(len(x), 1, -1)


class SelfAttention(nn.Module):
    """Multi-head attention with rotated queries and keys; no biases, no norms inside."""

    def __init__(self, hidden_size: int, n_heads: int, pattern: Pattern, attend: Attend) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.pattern = pattern
        self.attend = attend
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        pattern: Pattern | None = None,
        memory: LayerMemory | None = None,
    ) -> Tensor:
        """(B, L, D) -> (B, L, D); `pattern` in place of the network's own, and the positions of
        `memory` seen as well."""
        batch, length, _ = x.shape
        qkv = self.qkv(x).view(batch, length, 3 * self.n_heads, -1)
        both, v = qkv.split((2 * self.n_heads, self.n_heads), dim=2)  # (B, L, 2 H, d), (B, L, H, d)
        q, k = turn(both, rotary).chunk(2, dim=2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, L, d)
        if memory is not None:
            k, v = memory.joined(k, v)
        mixed = self.attend(q, k, v, pattern or self.pattern)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, L, D)


class Block(nn.Module):
    """x + gate * dropout(attention(norm(x))), then the same with an MLP of width 4 D.

    The level's condition gives shift, scale and gate of both branches through one zero-initialised
    Linear; without `cond_dim` (a causal network) the norms are plain and the gates are one.
    """

    def __init__(
        self, hidden_size: int, dropout: float, attention: SelfAttention, cond_dim: int | None
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm_attention = Norm(hidden_size)
        self.attention = attention
        self.norm_mlp = Norm(hidden_size)
        self.mlp = nn.Sequential(
            Linear(hidden_size, 4 * hidden_size),
            nn.GELU(approximate="tanh"),
            Linear(4 * hidden_size, hidden_size),
        )
        self.modulation = None if cond_dim is None else zero_linear(cond_dim, 6 * hidden_size)

    def forward(
        self,
        x: Tensor,
        rotary: Rotary,
        condition: Tensor | None,
        seeds: Tensor | None = None,
        pattern: Pattern | None = None,
        memory: LayerMemory | None = None,
    ) -> Tensor:
        """x (B, L, D), condition (B, cond_dim), (1, cond_dim) for all, or (B, L, cond_dim), None
        without levels; pattern and memory as in `SelfAttention`.

        In training dropout is drawn from generators with one of `seeds` (B,) int64 for each
        text, from torch's own without them."""
        dropping = seeds is not None and self.training and self.dropout > 0
        dropped = self._dropped(x, seeds) if dropping else None
        if self.modulation is None or condition is None:
            branch = self.attention(_normed(self.norm_attention, x), rotary, pattern, memory)
            x = x + self._drop(branch, dropped, 0)
            return x + self._drop(self.mlp(_normed(self.norm_mlp, x)), dropped, 1)
        condition = condition.to(self.modulation.weight.dtype)
        parts = per_position(self.modulation(condition)).chunk(6, dim=-1)  # six of (B, 1, D)
        shift, scale, gate = parts[:3]
        normed = _normed(self.norm_attention, x, shift, scale)
        branch = self.attention(normed, rotary, pattern, memory)
        x = torch.addcmul(x, gate.to(x.dtype), self._drop(branch, dropped, 0).to(x.dtype))
        shift, scale, gate = parts[3:]
        branch = self.mlp(_normed(self.norm_mlp, x, shift, scale))
        return torch.addcmul(x, gate.to(x.dtype), self._drop(branch, dropped, 1).to(x.dtype))

    @torch.compiler.disable
    def _dropped(self, x: Tensor, seeds: Tensor) -> Tensor:
        """(B, 2, L, D) bool: what is dropped of both branches."""
        dropped = torch.empty(len(x), 2, *x.shape[1:], dtype=torch.bool, device=x.device)
        for text, seed in zip(dropped, seeds.tolist(), strict=True):
            text.bernoulli_(self.dropout, generator=torch.Generator(x.device).manual_seed(seed))
        return dropped

    def _drop(self, branch: Tensor, dropped: Tensor | None, which: int) -> Tensor:
        if dropped is None:
            return F.dropout(branch, self.dropout, self.training)
        return branch.masked_fill(dropped[:, which], 0.0) / (1 - self.dropout)


def _normed(norm: Norm, x: Tensor, *modulation: Tensor) -> Tensor:
    """In the type of the weights, which a strategy that shards may gather in half precision, while
    the residual stream is float32."""
    rows: Tensor = norm(x, *modulation)
    return rows.to(norm.weight.dtype)


def per_position(x: Tensor) -> Tensor:
    """(B, D) as (B, 1, D), which broadcasts over positions; (B, L, D) as it is."""
    return x.unsqueeze(1) if x.dim() == 2 else x


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A Linear whose weight and bias start at zero."""
    return zero_(nn.Linear(inputs, outputs))


def zero_(linear: Layer) -> Layer:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
