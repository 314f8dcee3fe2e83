"""Ancestral sampling for every process: a coin per position, and a draw from the network where it
jumps."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from diffusion.chunked import Prediction
from diffusion.process import Process

Denoiser = Callable[
    [Tensor, Tensor], Prediction
]  # (z (B, L), t (B,)) -> what the network says of the clean tokens
Clamp = Callable[[Tensor], Tensor]  # puts the given tokens back in their places


def uniform_grid(steps: int, end: float = 0.0) -> Tensor:
    """(steps + 1,) times from 1 to `end`, evenly spaced, float64."""
    if steps < 1:
        raise ValueError(f"sampling.steps={steps}: at least 1 step is needed")
    return torch.linspace(1, end, steps + 1, dtype=torch.float64)


@torch.no_grad()
def ancestral(
    denoise: Denoiser, process: Process, z: Tensor, grid: Tensor, clamp: Clamp | None = None
) -> Tensor:
    """z_s ~ q(z_s | z_t, p(. | z_t)) along a decreasing grid of times; z (B, L) is a draw from the
    prior.

    A position that jumps is a draw from the network noised to level s, so the network is asked only
    about jumps that keep their token; where the jumps do not depend on it, as without uniform
    noise, a step without any skips it. The last step, to s = 0, leaves no mask: a prediction that
    has mass there is taken among the tokens."""
    clamp = clamp or (lambda tokens: tokens)
    z = clamp(z)
    for t, s in pairwise(grid.to(z.device)):
        last = bool(s == 0)
        t, s = t.expand(len(z)), s.expand(len(z))
        asked = process.asks(z) & (z != process.mask if last else True)
        prediction = denoise(z, t) if bool(asked.any()) else None
        mass = prediction.mass_at(z, where=asked) if prediction else 0.0
        jumps = torch.rand(z.shape, dtype=torch.float64, device=z.device) < process.jump(
            z, mass, t, s
        )
        kept, other = process.noise((z.shape[0], z.shape[1]), s)
        drawn = jumps & kept
        if bool(drawn.any()):
            among = process.vocab_size if last else None
            other = torch.where(kept, (prediction or denoise(z, t)).draw(drawn, among), other)
        z = clamp(torch.where(jumps, other, z))
    return z
