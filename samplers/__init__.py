"""Loops that produce tokens."""

from collections.abc import Callable

from torch import Tensor

from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.score import analytic, euler

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "ancestral": ancestral,
    "analytic": analytic,
    "euler": euler,
    "ar": autoregressive,
}
