"""GIDD (von Ruette et al., arXiv 2503.04482): masking and uniform noise in one process."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from algos.base import Batch
from algos.denoising import DiffusionAlgorithm
from diffusion.bound import Interpolating, interpolating_bound, interpolating_weight
from diffusion.process import Process
from diffusion.schedule import Mix, hybrid, hybrid_by_token


class Row(NamedTuple):
    """What a weighting may depend on, (n,) each: the bound's weight, the kind of z, the time; B / N
    and the cap."""

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


Processes = tuple[Process, Process]  # for evaluation and sampling, and for training


def as_published(p_uniform: float, vocab_size: int) -> Processes:
    """The mixture of the paper, closed at both ends of time."""
    process = Process(partial(hybrid, p_uniform=p_uniform), vocab_size)
    return process, process


def as_released(p_uniform: float, vocab_size: int) -> Processes:
    """The mixture of the released models, which ends a little before t = 1."""
    schedule = partial(hybrid_by_token, p_uniform=p_uniform, vocab_size=vocab_size)
    return Process(partial(schedule, closed=True), vocab_size), Process(schedule, vocab_size)


PROCESSES = {"1.1": as_published, "1.0": as_released}


class GIDD(DiffusionAlgorithm):
    """-log p(x) <= E_t E_z [ w (KL(q_t(.|x) || q_t(.|p)) + r - log r - 1) ]; training may weigh
    otherwise.

    p_uniform is the share of uniform noise at t = 1/2; the network is conditioned on t. `version`
    of the authors' code says how much noise that is: 1.1 as in the paper, 1.0 as in the models that
    they released."""

    def __init__(
        self,
        vocab_size: int,
        p_uniform: float = 0.1,
        weighting: str = "dynamic",
        max_weight: float = 2.0,
        version: str = "1.1",
        sampling_eps: float = 1e-4,
        **diffusion: Any,
    ):
        if not 0 <= p_uniform < 1:
            raise ValueError(f"algo.p_uniform={p_uniform}: must be at least 0 and below 1")
        if weighting not in WEIGHTINGS:
            raise ValueError(f"algo.weighting={weighting!r}: choose from {sorted(WEIGHTINGS)}")
        if max_weight <= 0:
            raise ValueError(f"algo.max_weight={max_weight}: must be positive")
        if version not in PROCESSES:
            raise ValueError(f"algo.version={version!r}: choose from {sorted(PROCESSES)}")
        process, training_process = PROCESSES[version](p_uniform, vocab_size)
        super().__init__(
            process=process,
            training_process=training_process,
            sampling_eps=(sampling_eps, sampling_eps),
            level=lambda t: t,
            vocab_size=vocab_size,
            **diffusion,
        )
        self.ratio = 2 * p_uniform / (1 - p_uniform) / vocab_size
        self.max_weight = max_weight
        self.weighting = WEIGHTINGS[weighting]

    def training_weight(self, x: Tensor, z: Tensor, mix: Mix, rate: Mix, vocab_size: int) -> Tensor:
        """What the divergence is weighted by in training, (n,)."""
        bound = interpolating_weight(x, z, mix, rate, vocab_size)
        t = mix.mask / (mix.mask + mix.keep)
        return self.weighting(Row(bound, z == vocab_size, z == x, t, self.ratio, self.max_weight))

    def objective(self, batch: Batch) -> Tensor:
        loss = Interpolating(self.training_weight)
        return self.per_token(loss, batch, self.training_noise(batch))

    def nll(self, batch: Batch) -> Tensor:
        return self.bound(interpolating_bound, batch)
