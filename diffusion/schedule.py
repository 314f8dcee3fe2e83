"""Noise levels as three numbers: how a forward process depends on time, and nothing else."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Share = Callable[[Tensor], Tensor]  # of what is kept, at times t in [0, 1]


class Alpha(Protocol):
    """A share of what is kept that falls with time, and its inverse in closed form."""

    def __call__(self, t: Tensor) -> Tensor: ...

    def time(self, alpha: Tensor) -> Tensor:
        """The t at which it is `alpha`."""


class Mix(NamedTuple):
    """q_t(z | x) = keep [z = x] + mask [z = MASK] + noise / N [z is a token]; each broadcasts to
    (B, L), float64, and they sum to one."""

    keep: Tensor
    mask: Tensor
    noise: Tensor


Schedule = Callable[[Tensor], Mix]  # of times (B,), or (B, L), one for each position


def per_position(t: Tensor) -> Tensor:
    """Times or weights (B,) of texts as (B, 1), which broadcasts over positions; (B, L) as they
    are."""
    return t.unsqueeze(-1) if t.dim() == 1 else t


@dataclass(frozen=True)
class LogLinear:
    """alpha(t) = 1 - (1 - eps) t."""

    eps: float = 1e-3

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - (1 - self.eps) * t

    def time(self, alpha: Tensor) -> Tensor:
        return (1 - alpha) / (1 - self.eps)


@dataclass(frozen=True)
class Cosine:
    """alpha(t) = 1 - cos(pi/2 (1 - (1 - eps) t))."""

    eps: float = 1e-3

    def __call__(self, t: Tensor) -> Tensor:
        return 1 - torch.cos(math.pi / 2 * (1 - (1 - self.eps) * t))

    def time(self, alpha: Tensor) -> Tensor:
        # 1 - cos x = 2 sin^2 (x / 2), without the digits that 1 - alpha would lose
        return (1 - 4 / math.pi * (alpha / 2).sqrt().asin()) / (1 - self.eps)


@dataclass(frozen=True)
class Geometric:
    """alpha(t) = exp(-sigma_min^(1-t) sigma_max^t), SEDD's schedule."""

    sigma_min: float = 1e-4
    sigma_max: float = 20.0

    def __call__(self, t: Tensor) -> Tensor:
        return torch.exp(-(self.sigma_min ** (1 - t)) * self.sigma_max**t)

    def time(self, alpha: Tensor) -> Tensor:
        return (-alpha.log() / self.sigma_min).log() / math.log(self.sigma_max / self.sigma_min)


ALPHAS: dict[str, Callable[..., Alpha]] = {
    "log-linear": LogLinear,
    "cosine": Cosine,
    "geometric": Geometric,
}


class Closed:
    """The same shape with alpha(0) = 1 and alpha(1) = 0 exactly, so that a bound misses no end of
    time."""

    def __init__(self, alpha: Alpha):
        self.alpha, zero = alpha, torch.zeros(1, dtype=torch.float64)
        self.start, self.end = float(alpha(zero)), float(alpha(zero + 1))

    def __call__(self, t: Tensor) -> Tensor:
        return (self.alpha(t) - self.end) / (self.start - self.end)

    def time(self, alpha: Tensor) -> Tensor:
        return self.alpha.time(self.end + (self.start - self.end) * alpha)


def started(alpha: Alpha) -> Share:
    """The same sigma = -log alpha, counted from t = 0: alpha(0) = 1 exactly, alpha(1) > 0 stays."""
    start = float(alpha(torch.zeros(1, dtype=torch.float64)))
    return lambda t: alpha(t) / start


@dataclass(frozen=True)
class Absorbing:
    """keep = alpha(t), the rest is masked; t (B,) or (B, L) in [0, 1]."""

    alpha: Alpha

    def __call__(self, t: Tensor) -> Mix:
        keep = self.alpha(per_position(t))
        return Mix(keep, 1 - keep, torch.zeros_like(keep))

    def time(self, mask: Tensor) -> Tensor:
        """The times at which the mass of the mask, in [0, 1], is `mask`; the nearer end of time
        where it never is."""
        return self.alpha.time(1 - mask).clamp(0, 1)


@dataclass(frozen=True)
class Uniform:
    """keep = alpha(t), the rest is a uniform token; t (B,) or (B, L) in [0, 1]."""

    alpha: Share

    def __call__(self, t: Tensor) -> Mix:
        keep = self.alpha(per_position(t))
        return Mix(keep, torch.zeros_like(keep), 1 - keep)


def hybrid(t: Tensor, p_uniform: float, gamma: float = 1.0) -> Mix:
    """GIDD: ((1 - t), t, c) / (1 + c) with c = B (t (1 - t))^(gamma/2), B = 2^gamma p_u / (1 -
    p_u), p_u > 0; t (B,) or (B, L)."""
    t = per_position(t)
    c = 2**gamma * p_uniform / (1 - p_uniform) * (t * (1 - t)) ** (gamma / 2)
    return Mix((1 - t) / (1 + c), t / (1 + c), c / (1 + c))


def hybrid_by_token(t: Tensor, p_uniform: float, vocab_size: int, closed: bool = False) -> Mix:
    """GIDD as in version 1.0 of its code: (1 - t - c, t, N c) / (1 + (N - 1) c), c = B (t (1 -
    t))^(1/2) of each token, B = 1 / (1 + (1 - p_u) / p_u (N + 1) / 2), at least e^-20; t (B,).

    Nothing is kept at t = 1 / (1 + B^2), beyond which there is no mixture: `closed` time runs from
    0 to there."""
    rate = token_noise(p_uniform, vocab_size)
    t = t.unsqueeze(-1) / (1 + closed * rate**2)
    c = rate * (t * (1 - t)).sqrt()
    total = 1 + (vocab_size - 1) * c
    return Mix((1 - t - c).clamp_min(0) / total, t / total, vocab_size * c / total)


def token_noise(p_uniform: float, vocab_size: int) -> float:
    """B of `hybrid_by_token`."""
    rate = p_uniform / (p_uniform + (1 - p_uniform) * (vocab_size + 1) / 2)
    return max(rate, math.exp(-20))
