"""SEDD (Lou et al., arXiv 2310.16834): ratios of probabilities, learned by score entropy."""

import math
from typing import Any

import torch
from torch import Tensor

from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from algos.noise import by_alpha
from diffusion.process import Process
from diffusion.schedule import Absorbing, Alpha, Uniform, started
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy


class SEDD(DiffusionAlgorithm):
    """Absorbing noise; the scores are scaled by sigma: s_y = (alpha / (1 - alpha)) exp(output_y) /
    N."""

    facts = FACTS["sedd"]

    def __init__(self, alpha: Alpha, vocab_size: int, sampling_eps: float = 1e-3, **diffusion: Any):
        super().__init__(
            sampling_eps=(sampling_eps, 0.0), **by_alpha(Absorbing, alpha, vocab_size), **diffusion
        )

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(masked_score_entropy, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(masked_score_entropy, batch, draws)

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        return log_p + math.log(self.vocab_size)


class SEDDUniform(DiffusionAlgorithm):
    """Uniform noise; the outputs are the log scores.

    Evaluation and sampling begin where training does, at alpha(1) > 0: scores that are free to
    differ from one there would cost infinitely much on the way to alpha = 0. The reported bound has
    the rest, KL(q_1(. | x) || uniform)."""

    facts = FACTS["sedd_uniform"]

    def __init__(self, alpha: Alpha, vocab_size: int, sampling_eps: float = 1e-3, **diffusion: Any):
        processes = by_alpha(Uniform, alpha, vocab_size)
        processes["process"] = Process(Uniform(started(alpha)), vocab_size)
        super().__init__(sampling_eps=(sampling_eps, 0.0), **processes, **diffusion)

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(uniform_score_entropy, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return (
            self.bound(uniform_score_entropy, batch, draws) + self.scored(batch) * self.prior_nats()
        )

    def prior_nats(self) -> float:
        """KL(q_1(. | x) || uniform) of one token, in nats."""
        keep, _, noise = self.process.schedule(torch.ones(1, dtype=torch.float64))
        n = noise / self.vocab_size
        others = (self.vocab_size - 1) * torch.xlogy(n, n)
        return float(torch.xlogy(keep + n, keep + n) + others) + math.log(self.vocab_size)

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        keep, _, noise = self.process.schedule(t.double())
        log_q = (keep.unsqueeze(-1) * log_p.exp() + noise.unsqueeze(-1) / self.vocab_size).log()
        return log_q - log_q.gather(-1, z.unsqueeze(-1))
