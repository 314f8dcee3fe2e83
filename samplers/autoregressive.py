"""Left-to-right sampling, one token and one network call at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.chunked import Prediction

Step = Callable[
    [Tensor], Prediction
]  # the newest tokens (B, n), the earlier ones remembered -> their successors


@torch.no_grad()
def autoregressive(step: Step, tokens: Tensor, given: Tensor) -> Tensor:
    """Texts (B, L) that begin with the first `given` (B,), 1 or more, of `tokens` (B, L); each
    further one ~ p(. | all before it)."""
    tokens, start = tokens.clone(), int(given.min())
    newest = tokens[:, :start]
    for place in range(start, tokens.shape[1]):
        where = torch.zeros_like(newest, dtype=torch.bool)
        where[:, -1] = free = place >= given
        drawn = step(newest).draw(where)[:, -1]
        tokens[:, place] = torch.where(free, drawn, tokens[:, place])
        newest = tokens[:, place : place + 1]
    return tokens
