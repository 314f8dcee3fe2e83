"""GIDD (von Ruette et al., arXiv 2503.04482): masking and uniform noise in one process."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from algos import settings
from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from diffusion.bound import Interpolating, interpolating_bound, interpolating_weight
from diffusion.process import Process
from diffusion.schedule import Absorbing, LogLinear, Mix, hybrid, hybrid_by_token
from schema.check import check_values


class Row(NamedTuple):
    """The arguments of a weighting: the bound's weight, whether z is the mask, whether it is x, the
    time, (n,) each; B = 2 p / (1 - p) at a share p of uniform noise; N; the cap."""

    bound: Tensor
    masked: Tensor
    clean: Tensor
    t: Tensor
    odds: float
    vocab_size: int
    cap: float


def none(row: Row) -> Tensor:
    return row.bound


def clip(row: Row) -> Tensor:
    return row.bound.clamp_max(row.cap)


def dynamic(row: Row) -> Tensor:
    """The bound's ratios mask : noise : clean = 2 : 1 : (B/N) (t / (1-t))^(1/2), without its growth
    at the ends."""
    clean = row.odds / row.vocab_size * (row.t / (1 - row.t)).sqrt()
    return torch.where(row.clean, clean, 1.0 + row.masked).clamp_max(row.cap)


def dynamic_published(row: Row) -> Tensor:
    """As in the authors' code, which takes sigmoid(-t) for the log-SNR, with the opposite sign, and
    divides B by N + 1, the vocabulary with its mask."""
    clean = row.odds / (row.vocab_size + 1) * (torch.sigmoid(-row.t) / 2).exp()
    return torch.where(row.clean, clean, 1.0 + row.masked).clamp_max(row.cap)


WEIGHTINGS: dict[str, Callable[[Row], Tensor]] = {
    "none": none,
    "clip": clip,
    "dynamic": dynamic,
    "dynamic_published": dynamic_published,
}


Processes = tuple[Process, Process]  # for evaluation and sampling, and for training


def as_published(p_uniform: float, vocab_size: int) -> Processes:
    """The mixture of the paper, closed at both ends of time; without uniform noise it masks."""
    mixture = partial(hybrid, p_uniform=p_uniform) if p_uniform else Absorbing(LogLinear(eps=0.0))
    process = Process(mixture, vocab_size)
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

    facts = FACTS["gidd"]

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
        checked = {"p_uniform": p_uniform, "weighting": weighting, "max_weight": max_weight}
        check_values(settings.GIDD, "algo", **checked, version=version)
        process, training_process = PROCESSES[version](p_uniform, vocab_size)
        super().__init__(
            process=process,
            training_process=training_process,
            sampling_eps=(sampling_eps, sampling_eps),
            level=lambda t: t,
            vocab_size=vocab_size,
            **diffusion,
        )
        self.odds = 2 * p_uniform / (1 - p_uniform)
        self.max_weight = max_weight
        self.weighting = WEIGHTINGS[weighting]

    def training_weight(self, x: Tensor, z: Tensor, mix: Mix, rate: Mix, vocab_size: int) -> Tensor:
        """(n,) weights of the divergence in training."""
        bound = interpolating_weight(x, z, mix, rate, vocab_size)
        t = mix.mask / (mix.mask + mix.keep)
        row = Row(bound, z == vocab_size, z == x, t, self.odds, vocab_size, self.max_weight)
        return self.weighting(row)

    def objective(self, batch: Batch) -> Tensor:
        loss = Interpolating(self.training_weight)
        return self.per_token(loss, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(interpolating_bound, batch, draws)
