"""Left-to-right sampling, one token and one network call at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.prediction import Prediction

# The newest tokens (B, n), the earlier ones remembered -> (B, 1), what follows the last of them.
Step = Callable[[Tensor], Prediction]


@torch.no_grad()
def autoregressive(step: Step, tokens: Tensor, given: Tensor) -> Tensor:
    """Texts (B, L) that begin with the first `given` (B,), 1 or more, of `tokens` (B, L); each
    further one ~ p(. | all before it)."""
    tokens, start, every = tokens.clone(), int(given.min()), int(given.max())
    newest = tokens[:, :start]
    for place in range(start, tokens.shape[1]):
        prediction = step(newest)
        if place >= every:
            newest = prediction.draw()
        else:  # some texts still have what was given
            free = place >= given.unsqueeze(-1)
            newest = torch.where(free, prediction.draw(free), tokens[:, place : place + 1])
        tokens[:, place : place + 1] = newest
    return tokens
