"""Exact draws from categorical distributions over large vocabularies."""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 256


def draw(logits: Tensor, uniform: Tensor | None = None) -> Tensor:
    """Tokens (n,) ~ softmax(logits (n, N)) by inversion, exact to the tail.

    `uniform` (n,) float64 in [0, 1) replaces the global generator."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return draw_weighted((logits - logits.amax(-1, keepdim=True)).exp_(), uniform)


def draw_weighted(weights: Tensor, uniform: Tensor | None = None) -> Tensor:
    """Tokens (n,) in proportion to weights (n, N), none negative, not all zero.

    A float32 weight, or the sum of a block of them, is right to 1e-7 of itself however small it is;
    what float32 would lose are running sums and the uniform number, so these are float64: first
    over blocks of the vocabulary, then inside one block."""
    rows, size = weights.shape
    if uniform is None:
        uniform = torch.rand(rows, dtype=torch.float64, device=weights.device)
    span = min(BLOCK, size)  # a smaller vocabulary is one block
    whole = size - size % span
    mass = weights[:, :whole].unflatten(-1, (-1, span)).sum(-1)
    rest = weights[:, whole:].sum(-1, keepdim=True)
    mass = (mass if whole == size else torch.cat([mass, rest], -1)).double()  # (n, N / span)
    blocks = mass.cumsum(-1)
    target = torch.minimum(uniform.unsqueeze(-1) * blocks[:, -1:], _below(blocks[:, -1:]))
    block = torch.searchsorted(blocks, target, right=True)
    before = F.pad(blocks, (1, 0)).gather(-1, block)
    places = block * span + torch.arange(span, device=weights.device)  # (n, span)
    inside = weights.gather(-1, places.clamp_max(size - 1)).double()
    inside = torch.where(places < size, inside, 0.0).cumsum(-1)
    position = (target - before) / mass.gather(-1, block) * inside[:, -1:]
    within = torch.minimum(position, _below(inside[:, -1:]))
    return (block * span + torch.searchsorted(inside, within, right=True)).squeeze(-1)


def _below(total: Tensor) -> Tensor:
    """The next number down: a target that rounding put at the total would fall behind the last
    possible token."""
    return torch.nextafter(total, torch.zeros_like(total))
