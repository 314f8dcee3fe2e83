"""The schedules under test, under the names that `brute_force.LEVELS` gives their closed forms."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import ALPHAS, Alpha, Mix, Schedule, absorbing, closed, hybrid, uniform
from tests.diffusion.brute_force import LEVELS

KINDS: dict[str, Callable[..., Mix]] = {"absorbing": absorbing, "uniform": uniform}
SHAPES: dict[str, Alpha] = dict(ALPHAS) | {f"{n} closed": closed(ALPHAS[n]) for n in ALPHAS}


def _named(name: str) -> Schedule:
    kind, shape = name.split(" ", 1)
    if kind == "hybrid":
        return partial(hybrid, p_uniform=float(shape))
    return partial(KINDS[kind], alpha=SHAPES[shape])


SCHEDULES: dict[str, Schedule] = {name: _named(name) for name in LEVELS}


def times(*values: float) -> Tensor:
    """(B,) float64."""
    return torch.tensor(values, dtype=torch.float64)


def columns(name: str, t: Tensor, size: int) -> tuple[Mix, Mix]:
    """Value and rate at t (n,), each number a column (n,) as the bounds take them."""
    value, rate = Process(SCHEDULES[name], size).mix(t)
    return Mix(*(part[:, 0] for part in value)), Mix(*(part[:, 0] for part in rate))
