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


def uniform_grid(steps: int) -> Tensor:
    """(steps + 1,) times from 1 to 0, evenly spaced, float64."""
    if steps < 1:
        raise ValueError(f"sampling.steps={steps}: at least 1 step is needed")
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


@torch.no_grad()
def ancestral(
    denoise: Denoiser, process: Process, z: Tensor, grid: Tensor, clamp: Clamp | None = None
) -> Tensor:
    """z_s ~ q(z_s | z_t, p(. | z_t)) along a decreasing grid of times; z (B, L) is a draw from the
    prior.

    A position that jumps is a draw from the network noised to level s, so the network is asked only
    about jumps that keep their token; without uniform noise the jumps do not depend on it, and a
    step without any skips it."""
    clamp = clamp or (lambda tokens: tokens)
    z = clamp(z)
    for t, s in pairwise(grid.to(z.device)):
        t, s = t.expand(len(z)), s.expand(len(z))
        prediction = denoise(z, t) if process.has_noise else None
        mass = prediction.mass_at(z, where=z != process.mask) if prediction else 0.0
        jumps = torch.rand(z.shape, dtype=torch.float64, device=z.device) < process.jump(
            z, mass, t, s
        )
        kept, other = process.noise((z.shape[0], z.shape[1]), s)
        drawn = jumps & kept
        if bool(drawn.any()):
            other = torch.where(kept, (prediction or denoise(z, t)).draw(drawn), other)
        z = clamp(torch.where(jumps, other, z))
    return z
