"""Uniform noise that comes from a Gaussian path, for DUO and its distillation."""

from functools import partial

from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import uniform
from integral.quadrature import HIGH, LOW
from integral.transformation import Transformation


class GaussianTime:
    """gamma from gamma_min at t = 0 to gamma_max at t = 1, linearly; alpha is what the operator
    makes of it. None stands for where alpha is 0.95, or 0.05."""

    def __init__(self, vocab_size: int, gamma_min: float | None, gamma_max: float | None):
        self.keep = Transformation(vocab_size)
        self.start = self.keep.gamma_at(0.95) if gamma_min is None else gamma_min
        self.end = self.keep.gamma_at(0.05) if gamma_max is None else gamma_max
        for key, gamma in {"gamma_min": self.start, "gamma_max": self.end}.items():
            if not LOW <= gamma <= HIGH:
                raise ValueError(f"algo.{key}={gamma:.4g}: must be from {LOW:g} to {HIGH:g}")
        if self.start >= self.end:
            raise ValueError(
                f"algo.gamma_min={self.start:.4g}: must be below algo.gamma_max={self.end:.4g}"
            )
        self.process = Process(partial(uniform, alpha=self.alpha), vocab_size)

    def gamma(self, t: Tensor) -> Tensor:
        return self.start + (self.end - self.start) * t

    def alpha(self, t: Tensor) -> Tensor:
        return self.keep(self.gamma(t))
