"""Psi-samplers (DUO, chapter II, arXiv 2602.21185): how often a step goes all the way back, as a
profile kappa over time; ReMDM (arXiv 2503.00307) is among them.

ReMDM masks a token again with the chance sigma and unmasks with the chance (alpha_s - (1 - sigma)
alpha_t) / (1 - alpha_t). That is kappa = 1 - sigma / (1 - alpha_s), and the same map, with what the
noise keeps for alpha, serves every process. As in the published code kappa ends at 0: at alpha_t
near 0 the largest sigma of ReMDM, min(1, (1 - alpha_s) / alpha_t), lies a little beyond."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import Clamp, Denoiser, ancestral, at
from samplers.coins import Independent, MakeCoins
from samplers.grids import plateau_time
from samplers.settings import Sampling
from schema.check import check_values

NEAR = 1e-9  # of a time: grids meet the borders between parts up to rounding


def _of_sigma(sigma: Tensor, then: Tensor) -> Tensor:
    """kappa of a chance sigma; at alpha_s = 1 it plays no part."""
    left = 1 - then
    return torch.where(left > 0, 1 - sigma / left, 1.0).clamp(0, 1)


def _sigma_max(now: Tensor, then: Tensor) -> Tensor:
    """min(1, (1 - alpha_s) / alpha_t)."""
    return ((1 - then) / now).clamp_max(1)


def _published_rescale(now: Tensor, then: Tensor, eta: float) -> Tensor:
    # DUO's released code has eta in the place of the 1, so that sigma is at most eta squared.
    return _of_sigma(eta * _sigma_max(now, then).clamp_max(eta), then)


# kappa (1, 1) from alpha_t and alpha_s (1, 1), and eta
RULES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "pure-posterior": lambda now, then, eta: torch.ones_like(now),
    "pure-pc": lambda now, then, eta: torch.zeros_like(now),
    "constant-eta": lambda now, then, eta: torch.full_like(now, eta),
    "constant-remdm-eta": lambda now, then, eta: _of_sigma(torch.full_like(now, eta), then),
    "max-capped-eta": lambda now, then, eta: _of_sigma(_sigma_max(now, then).clamp_max(eta), then),
    "max-rescale-eta": lambda now, then, eta: _of_sigma(eta * _sigma_max(now, then), then),
    "max-rescale-eta-published": _published_rescale,
}
CONFIDENCE = "confidence"
WITHOUT_ETA = ("pure-posterior", "pure-pc", CONFIDENCE)


class Profile(NamedTuple):
    """Which rule holds in the `high`, middle (`kappa`) and `low` noise part of the steps, and how
    the parts lie: by their shares of time, or around a plateau of what the noise keeps."""

    kappa: str
    eta: float | None = None
    high: str | None = None  # None: as in the middle
    low: str | None = None
    high_frac: float = 0.0
    middle_frac: float = 1.0
    plateau: float | None = None

    def borders(self, process: Process) -> tuple[float, float]:
        """The times at which the high and the middle part end."""
        if self.plateau is None:
            return 1 - self.high_frac, 1 - self.high_frac - self.middle_frac
        top = plateau_time(process, self.plateau)
        return top, top


def _loop(kappa: str, eta: float) -> Profile:
    """A rule on a plateau, and ancestral steps on the way there and from there."""
    return Profile(kappa, eta, "pure-posterior", "pure-posterior", 0.45, 0.5, plateau=0.9)


# The settings of the released scripts.
PRESETS: dict[str, Profile] = {
    "remdm-cap": Profile("max-capped-eta", 0.008),
    "remdm-rescale": Profile("max-rescale-eta", 0.015),
    "remdm-conf": Profile(CONFIDENCE),
    "remdm-loop": _loop("max-capped-eta", 0.02),
    "psi-cap": Profile("max-capped-eta", 0.01),
    "psi-rescale": Profile("max-rescale-eta", 0.05),
    "psi-rescale-published": Profile("max-rescale-eta-published", 0.05),
    "psi-loop": _loop("constant-remdm-eta", 0.01),
}


def profile(kappa: str, eta: float | None = None, **others: Any) -> Profile:
    """A preset or a rule by its name, with the fields of a Profile that are given in the place of
    the preset's, unless None. ValueError for what is unknown, out of range, or plays no part."""
    rules = {f"kappa_{part}": others.get(part) for part in ("high", "low")}
    check_values(Sampling, "sampling", kappa=kappa, eta=eta, **rules)
    given = {"eta": eta, **others}
    given = {key: value for key, value in given.items() if value is not None}
    made = PRESETS.get(kappa, Profile(kappa))._replace(**given)
    _check(kappa, made)
    return made


def _check(name: str, made: Profile) -> None:
    for key, rule in (("kappa_high", made.high), ("kappa_low", made.low)):
        if rule is not None and made.kappa == CONFIDENCE:
            raise ValueError(f"sampling.{key}={rule}: sampling.kappa={name} covers all of time")
    if min(made.high_frac, made.middle_frac) < 0 or made.high_frac + made.middle_frac > 1 + NEAR:
        raise ValueError(
            f"sampling.high_frac={made.high_frac}: with sampling.middle_frac={made.middle_frac} "
            "not below 0 and in all at most 1"
        )
    needed = {made.kappa, made.high, made.low} - {None, *WITHOUT_ETA}
    if needed and (made.eta is None or not 0 <= made.eta <= 1):
        raise ValueError(f"sampling.eta={made.eta}: sampling.kappa={name} needs it, from 0 to 1")
    if not needed and made.eta is not None:
        raise ValueError(f"sampling.eta={made.eta}: sampling.kappa={name} has none")


class Parts:
    """kappa (1, 1) by the rule of the part that a step lies in."""

    def __init__(self, made: Profile, process: Process):
        self.rules = (made.high or made.kappa, made.kappa, made.low or made.kappa)
        self.eta = 0.0 if made.eta is None else made.eta
        self.borders = made.borders(process)

    def __call__(self, process: Process, z: Tensor, t: float, s: float) -> Tensor:
        high, middle = self.borders
        began, ended = t - NEAR, s + NEAR
        part = 0 if ended >= high and began > high else 1 if ended >= middle else 2
        now, then = (process.schedule(at(time, z[:1])).keep for time in (t, s))
        return RULES[self.rules[part]](now, then, self.eta)


class Confidence:
    """ReMDM-conf: sigma = sigma_max softmax(-confidence) over the tokens of a text that stand as
    the network drew them, confidence being p(token) at that time; nothing else is noised anew."""

    def __init__(self, z: Tensor):
        self.drawn = torch.full_like(z, -1)  # (B, L) the last tokens drawn
        self.doubt = torch.zeros_like(z, dtype=torch.float64)  # minus the confidence in them

    def __call__(self, process: Process, z: Tensor, t: float, s: float) -> Tensor:
        doubt = self.doubt.masked_fill(z != self.drawn, -math.inf)
        share = doubt.softmax(-1).nan_to_num(0.0)  # nan: a text without such a token
        now, then = (process.schedule(at(time, z[:1])).keep for time in (t, s))
        return _of_sigma(share * _sigma_max(now, then), then)

    def watch(self, rows: Tensor, drawn: Tensor, tokens: Tensor, prediction: Prediction) -> None:
        """Remembers `tokens` (b, L), and p of them, where they were `drawn` (b, L) in the texts
        `rows` (b,)."""
        doubt = -prediction.mass_at(tokens, where=drawn)
        self.doubt[rows] = torch.where(drawn, doubt, self.doubt[rows])
        self.drawn[rows] = torch.where(drawn, tokens, self.drawn[rows])


@torch.no_grad()
def psi(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    profile: Profile,
    clamp: Clamp | None = None,
    coins: MakeCoins = Independent,
) -> Tensor:
    """Texts by a profile of kappa; one with a plateau goes with its `plateau_grid`."""
    run = partial(ancestral, denoise, process, z, grid, clamp=clamp, coins=coins)
    if profile.kappa != CONFIDENCE:
        return run(kappa=Parts(profile, process))
    kappa = Confidence(z)
    return run(kappa=kappa, watch=kappa.watch)
