"""Noise levels that several algorithms share: by a shape alpha(t), or along a Gaussian path."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import Alpha, Closed, Schedule, Uniform
from integral.quadrature import HIGH, LOW
from integral.transformation import Transformation


def by_alpha(
    kind: Callable[[Alpha], Schedule], alpha: Alpha, vocab_size: int, time_conditioning: bool = True
) -> dict[str, Any]:
    """The processes of an algorithm whose noise has one shape: training's, and the one closed at
    both ends of time for evaluation and sampling; the network's input is sigma = -log alpha."""

    def sigma(t: Tensor) -> Tensor:
        return -alpha(t).log()

    return {
        "process": Process(kind(Closed(alpha)), vocab_size),
        "training_process": Process(kind(alpha), vocab_size),
        "level": sigma if time_conditioning else None,
        "vocab_size": vocab_size,
    }


class GaussianTime:
    """gamma from gamma_min at t = 0 to gamma_max at t = 1, linearly; alpha is what the operator
    makes of it. None stands for where alpha is the first of `ends`, or the second."""

    def __init__(
        self,
        vocab_size: int,
        gamma_min: float | None,
        gamma_max: float | None,
        ends: tuple[float, float],
    ):
        self.keep = Transformation(vocab_size)
        self.start = self.keep.gamma_at(ends[0]) if gamma_min is None else gamma_min
        self.end = self.keep.gamma_at(ends[1]) if gamma_max is None else gamma_max
        for key, gamma in {"gamma_min": self.start, "gamma_max": self.end}.items():
            if not LOW <= gamma <= HIGH:
                raise ValueError(f"algo.{key}={gamma:.4g}: must be from {LOW:g} to {HIGH:g}")
        if self.start >= self.end:
            raise ValueError(
                f"algo.gamma_min={self.start:.4g}: must be below algo.gamma_max={self.end:.4g}"
            )
        self.process = Process(Uniform(self.alpha), vocab_size)

    def gamma(self, t: Tensor) -> Tensor:
        """Of t in [0, 1], between the two ends, which lie in the domain."""
        return self.start + (self.end - self.start) * t

    def alpha(self, t: Tensor) -> Tensor:
        return self.keep.inside(self.gamma(t))
