"""Loops that produce tokens."""

from collections.abc import Callable

from torch import Tensor

from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.first_hitting import first_hitting
from samplers.kappa import psi
from samplers.score import analytic, euler

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "ancestral": ancestral,
    # The published name. Nothing has to be cached: `ancestral` asks only for what it draws.
    "ancestral_cache": ancestral,
    "psi": psi,
    "first_hitting": first_hitting,
    "analytic": analytic,
    "euler": euler,
    "ar": autoregressive,
}
