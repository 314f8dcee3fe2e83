"""The schedules under test, under the names that `brute_force.LEVELS` gives their closed forms."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import ALPHAS, Absorbing, Alpha, Closed, Mix, Schedule, Uniform, hybrid
from tests.diffusion.brute_force import LEVELS

KINDS: dict[str, Callable[[Alpha], Schedule]] = {"absorbing": Absorbing, "uniform": Uniform}
SHAPES: dict[str, Alpha] = {name: made() for name, made in ALPHAS.items()}
SHAPES |= {f"{name} closed": Closed(alpha) for name, alpha in SHAPES.items()}


def _named(name: str) -> Schedule:
    kind, shape = name.split(" ", 1)
    if kind == "hybrid":
        return partial(hybrid, p_uniform=float(shape))
    return KINDS[kind](SHAPES[shape])


SCHEDULES: dict[str, Schedule] = {name: _named(name) for name in LEVELS}


def times(*values: float) -> Tensor:
    """(B,) float64."""
    return torch.tensor(values, dtype=torch.float64)


def columns(name: str, t: Tensor, size: int) -> tuple[Mix, Mix]:
    """Value and rate at t (n,), each number a column (n,) as the bounds take them."""
    value, rate = Process(SCHEDULES[name], size).mix(t)
    return Mix(*(part[:, 0] for part in value)), Mix(*(part[:, 0] for part in rate))
