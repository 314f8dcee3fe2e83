"""GIDD (von Ruette et al., arXiv 2503.04482): masking and uniform noise in one process."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from diffusion.bound import Interpolating, interpolating_bound, interpolating_weight
from diffusion.process import Process
from diffusion.schedule import Mix, hybrid


class Row(NamedTuple):
    """The inputs of a weighting, (n,) each: the bound's weight, the kind of z, the time; B / N and
    the cap."""

    bound: Tensor
    masked: Tensor
    clean: Tensor
    t: Tensor
    ratio: float
    cap: float


def none(row: Row) -> Tensor:
    return row.bound


def clip(row: Row) -> Tensor:
    return row.bound.clamp_max(row.cap)


def dynamic(row: Row) -> Tensor:
    """The bound's ratios mask : noise : clean = 2 : 1 : (B/N) (t / (1-t))^(1/2), without its growth
    at the ends."""
    clean = row.ratio * (row.t / (1 - row.t)).sqrt()
    return torch.where(row.clean, clean, 1.0 + row.masked).clamp_max(row.cap)


def dynamic_published(row: Row) -> Tensor:
    """As in the authors' code, which takes sigmoid(-t) for the log-SNR, with the opposite sign."""
    clean = row.ratio * (torch.sigmoid(-row.t) / 2).exp()
    return torch.where(row.clean, clean, 1.0 + row.masked).clamp_max(row.cap)


WEIGHTINGS: dict[str, Callable[[Row], Tensor]] = {
    "none": none,
    "clip": clip,
    "dynamic": dynamic,
    "dynamic_published": dynamic_published,
}


class GIDD(DiffusionAlgorithm):
    """-log p(x) <= E_t E_z [ w (KL(q_t(.|x) || q_t(.|p)) + r - log r - 1) ]; training may weigh
    otherwise.

    p_uniform is the share of uniform noise at t = 1/2; the network is conditioned on t."""

    facts = FACTS["gidd"]

    def __init__(
        self,
        vocab_size: int,
        p_uniform: float = 0.1,
        weighting: str = "dynamic",
        max_weight: float = 2.0,
        sampling_eps: float = 1e-4,
        **diffusion: Any,
    ):
        if not 0 <= p_uniform < 1:
            raise ValueError(f"algo.p_uniform={p_uniform}: must be at least 0 and below 1")
        if weighting not in WEIGHTINGS:
            raise ValueError(f"algo.weighting={weighting!r}: choose from {sorted(WEIGHTINGS)}")
        if max_weight <= 0:
            raise ValueError(f"algo.max_weight={max_weight}: must be positive")
        process = Process(partial(hybrid, p_uniform=p_uniform), vocab_size)
        super().__init__(
            process=process,
            training_process=process,
            sampling_eps=(sampling_eps, sampling_eps),
            level=lambda t: t,
            vocab_size=vocab_size,
            **diffusion,
        )
        self.ratio = 2 * p_uniform / (1 - p_uniform) / vocab_size
        self.max_weight = max_weight
        self.weighting = WEIGHTINGS[weighting]

    def training_weight(self, x: Tensor, z: Tensor, mix: Mix, rate: Mix, vocab_size: int) -> Tensor:
        """The weights (n,) of the divergence in training."""
        bound = interpolating_weight(x, z, mix, rate, vocab_size)
        t = mix.mask / (mix.mask + mix.keep)
        return self.weighting(Row(bound, z == vocab_size, z == x, t, self.ratio, self.max_weight))

    def objective(self, batch: Batch) -> Tensor:
        loss = Interpolating(self.training_weight)
        return self.per_token(loss, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)
