"""Left-to-right sampling, one token and one network call at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.chunked import Prediction

Step = Callable[
    [Tensor], Prediction
]  # the newest tokens (B, n), the earlier ones remembered -> their successors


@torch.no_grad()
def autoregressive(step: Step, tokens: Tensor, length: int) -> Tensor:
    """Continues tokens (B, P), P >= 1, to (B, length), each ~ p(. | all before it)."""
    newest = tokens
    while tokens.shape[1] < length:
        where = torch.zeros_like(newest, dtype=torch.bool)
        where[:, -1] = True
        newest = step(newest).draw(where)[:, -1:]
        tokens = torch.cat([tokens, newest], dim=1)
    return tokens
