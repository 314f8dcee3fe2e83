"""The gradient that a loss brings along, called as diffusion.chunked calls it."""

from typing import Any

from torch import Tensor

from diffusion.chunked import Prepared


def with_gradient(loss: Any, logits: Tensor, *columns: Any) -> tuple[Tensor, Tensor]:
    """Values (n,) and a scale (n,); scale * (what `logits` then holds) is the gradient."""
    prepares = isinstance(loss, Prepared)
    prepared = loss.prepare(logits.shape[-1], *columns) if prepares else columns
    values, scale = loss.with_gradient(logits, *prepared)
    return values, scale
