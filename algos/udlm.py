"""UDLM (Schiff et al., arXiv 2412.10193), which is DUO's base (Sahoo et al., arXiv 2506.10892):
uniform noise."""

from typing import Any

from torch import Tensor

from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from algos.noise import by_alpha
from diffusion.bound import interpolating_bound
from diffusion.schedule import Alpha, Uniform


class UDLM(DiffusionAlgorithm):
    """The continuous-time bound of uniform noise, Rao-Blackwellised: two gathers and one sum over
    the vocabulary."""

    facts = FACTS["udlm"]

    def __init__(self, alpha: Alpha, vocab_size: int, sampling_eps: float = 1e-3, **diffusion: Any):
        super().__init__(
            sampling_eps=(sampling_eps, 0.0), **by_alpha(Uniform, alpha, vocab_size), **diffusion
        )

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(interpolating_bound, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)
