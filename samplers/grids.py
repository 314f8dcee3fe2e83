"""Grids of times: where along the noise a sampler stops to look."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.process import Process
from samplers.settings import Sampling
from schema.check import check_values

HALVINGS = 60  # of the unit interval of times: beyond float64


def uniform_grid(steps: int, end: float = 0.0) -> Tensor:
    """(steps + 1,) times from 1 to `end`, evenly spaced, float64."""
    check_values(Sampling, "sampling", steps=steps)
    return torch.linspace(1, end, steps + 1, dtype=torch.float64)


def cosine_grid(steps: int, end: float = 0.0) -> Tensor:
    """(steps + 1,) times end + (1 - end) cos(pi/2 i / steps): short steps while little is known, as
    in MaskGIT (arXiv 2202.04200)."""
    grid = end + (1 - end) * torch.sin(math.pi / 2 * uniform_grid(steps))
    grid[-1] = end
    return grid


def plateau_grid(
    steps: int,
    end: float = 0.0,
    *,
    process: Process,
    plateau: float = 0.9,
    high_frac: float = 0.45,
    middle_frac: float = 0.5,
) -> Tensor:
    """(steps + 1,) times: evenly from 1 to the time at which the share `plateau` is kept, in
    `high_frac` of the steps, there for `middle_frac` of them, then evenly to `end`; each slope has
    at least one step.

    The linear-constant-linear profile of ReMDM's loop and of the Psi-samplers. ValueError for one
    step, and where the noise never keeps that share."""
    if steps < 2:
        raise ValueError(f"sampling.steps={steps}: a plateau needs at least 2, to reach and leave")
    high = min(max(1, round(high_frac * steps)), steps - 1)
    low = min(max(1, round((1 - high_frac - middle_frac) * steps)), steps - high)
    middle = steps - high - low
    ends = process.schedule(torch.tensor([end, 1.0], dtype=torch.float64)).keep
    if not ends[1] < plateau < ends[0]:
        raise ValueError(
            f"sampling.plateau={plateau}: between {float(ends[1]):.4g} and {float(ends[0]):.4g}, "
            "which is what the noise keeps at the ends of the grid"
        )
    top = plateau_time(process, plateau)
    down = torch.linspace(1, top, high + 1, dtype=torch.float64)
    flat = torch.full((middle,), top, dtype=torch.float64)
    return torch.cat([down, flat, torch.linspace(top, end, low + 1, dtype=torch.float64)[1:]])


def plateau_time(process: Process, keep: float) -> float:
    """The time at which the noise keeps the share `keep`, by bisection; the nearer end of time
    where it never does."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        above = float(process.schedule(torch.tensor([middle], dtype=torch.float64)).keep) > keep
        low, high = (middle, high) if above else (low, middle)
    return (low + high) / 2


GRIDS: dict[str, Callable[..., Tensor]] = {
    "uniform": uniform_grid,
    "cosine": cosine_grid,
    "linear-constant-linear": plateau_grid,
}
