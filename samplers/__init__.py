"""Loops that produce tokens."""

from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive

SAMPLERS = {"ancestral": ancestral, "ar": autoregressive}
