"""DUO (Sahoo et al., arXiv 2506.10892): uniform noise as the argmax of a Gaussian one, and a
curriculum of soft inputs from there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from algos import settings
from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from algos.noise import GaussianTime, by_alpha
from diffusion.bound import interpolating_bound
from diffusion.chunked import chunked
from diffusion.schedule import Alpha, Uniform
from diffusion.times import GAUSSIANS, example_seeds
from integral.competitors import competitors, latent, soft_tokens, uniforms_needed
from integral.soft_embedding import soft_embedding
from schema.check import check_values


class DUO(DiffusionAlgorithm):
    """The bound of uniform noise. For the first part of training its input is softmax(w / tau), w
    the Gaussian latent whose argmax is z, at noise levels between gamma_min and gamma_max only:
    biased, of low variance. The first part is `curriculum_steps`, which may be all of training, or
    `curriculum_share` of it. `curriculum` says how the softmax is taken:

    "full" over the whole vocabulary, as first published; "efficient" over the true token and its k
    largest competitors, the rest in expectation (Duo++)."""

    facts = FACTS["duo"]

    def __init__(
        self,
        alpha: Alpha,
        vocab_size: int,
        max_steps: int,
        curriculum: str = "efficient",
        k: int = 2,
        tau: float = 1e-3,
        gamma_min: float | None = None,
        gamma_max: float | None = None,
        curriculum_share: float = 0.5,
        curriculum_steps: int | None = None,
        sampling_eps: float = 1e-3,
        **diffusion: Any,
    ):
        check_values(settings.DUO, "algo", curriculum=curriculum, k=k, tau=tau)
        share_or_steps = {
            "curriculum_share": curriculum_share,
            "curriculum_steps": curriculum_steps,
        }
        check_values(settings.DUO, "algo", **share_or_steps)
        if k >= vocab_size:
            raise ValueError(f"algo.k={k}: at least 2 and below the {vocab_size} tokens")
        super().__init__(
            sampling_eps=(sampling_eps, 0.0), **by_alpha(Uniform, alpha, vocab_size), **diffusion
        )
        self.curriculum = CURRICULA[curriculum]
        self.k, self.tau = k, tau
        self.gaussian = GaussianTime(vocab_size, gamma_min, gamma_max, ends=(0.95, 0.05))
        share = round(curriculum_share * max_steps)
        self.switch_step = share if curriculum_steps is None else curriculum_steps

    def objective(self, batch: Batch) -> Tensor:
        if self.global_step >= self.switch_step:
            return self.per_token(interpolating_bound, batch, self.training_noise(batch))
        x, t = batch["tokens"], self.training_times(batch)
        mix, rate = self.gaussian.process.mix(t)
        z, *soft = self.curriculum(self, batch, self.gaussian.gamma(t))
        level = -mix.keep.squeeze(-1).log()
        hidden = self.backbone(soft[0], level, *soft[1:], **self.dropout(batch))
        columns = (x, z, mix, rate)
        return chunked(
            interpolating_bound, self.backbone.head, hidden, *columns, rows=self.scored(batch)
        )

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)


Soft = tuple[Tensor, ...]  # z (B, L) and what the network takes in its place


def full(algorithm: DUO, batch: Batch, gamma: Tensor) -> Soft:
    """Embeddings (B, L, D) of the softmax over all N tokens."""
    x, noised, embedding = batch["tokens"], batch["noised"], algorithm.backbone.embedding
    seeds = example_seeds(batch["index"], algorithm.seed, GAUSSIANS)

    def soft_of(table: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return soft_embedding(x, gamma, algorithm.tau, table, algorithm.vocab_size, seeds)

    z, soft = embedding(x, soft_of)
    plain = embedding(x)
    return torch.where(noised, z, x), torch.where(noised.unsqueeze(-1), soft, plain)


def efficient(algorithm: DUO, batch: Batch, gamma: Tensor) -> Soft:
    """Soft tokens (B, L, k + 1) with weights."""
    x, noised, size = batch["tokens"], batch["noised"], algorithm.vocab_size
    draws = algorithm.training_uniforms(batch, uniforms_needed(algorithm.k))
    drawn = competitors(x, algorithm.k, size, draws)
    tokens, weights = soft_tokens(drawn, x, gamma, algorithm.tau, size)
    alone = torch.zeros_like(weights)
    alone[..., 0] = 1  # x comes first
    weights = torch.where(noised.unsqueeze(-1), weights, alone)
    return torch.where(noised, latent(drawn, x, gamma), x), tokens, weights


CURRICULA: dict[str, Callable[[DUO, Batch, Tensor], Soft]] = {
    "full": full,
    "efficient": efficient,
}
