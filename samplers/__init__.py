"""Loops that produce tokens."""

from collections.abc import Callable

from torch import Tensor

from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive

SAMPLERS: dict[str, Callable[..., Tensor]] = {"ancestral": ancestral, "ar": autoregressive}
