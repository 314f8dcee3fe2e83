"""Noise levels as three numbers: how a forward process depends on time, and nothing else."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Alpha = Callable[[Tensor], Tensor]


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


def log_linear(t: Tensor, eps: float = 1e-3) -> Tensor:
    """alpha(t) = 1 - (1 - eps) t."""
    return 1 - (1 - eps) * t


def cosine(t: Tensor, eps: float = 1e-3) -> Tensor:
    """alpha(t) = 1 - cos(pi/2 (1 - (1 - eps) t))."""
    return 1 - torch.cos(math.pi / 2 * (1 - (1 - eps) * t))


def geometric(t: Tensor, sigma_min: float = 1e-4, sigma_max: float = 20.0) -> Tensor:
    """alpha(t) = exp(-sigma_min^(1-t) sigma_max^t), SEDD's schedule."""
    return torch.exp(-(sigma_min ** (1 - t)) * sigma_max**t)


ALPHAS: dict[str, Callable[..., Tensor]] = {
    "log-linear": log_linear,
    "cosine": cosine,
    "geometric": geometric,
}


def closed(alpha: Alpha) -> Alpha:
    """The same shape with alpha(0) = 1 and alpha(1) = 0 exactly, so that a bound misses no end of
    time."""
    zero = torch.zeros(1, dtype=torch.float64)
    start, end = float(alpha(zero)), float(alpha(zero + 1))
    return lambda t: (alpha(t) - end) / (start - end)


def started(alpha: Alpha) -> Alpha:
    """The same sigma = -log alpha, counted from t = 0: alpha(0) = 1 exactly, alpha(1) > 0 stays."""
    start = float(alpha(torch.zeros(1, dtype=torch.float64)))
    return lambda t: alpha(t) / start


def absorbing(t: Tensor, alpha: Alpha = log_linear) -> Mix:
    """keep = alpha(t), the rest is masked; t (B,) or (B, L) in [0, 1]."""
    keep = alpha(per_position(t))
    return Mix(keep, 1 - keep, torch.zeros_like(keep))


def uniform(t: Tensor, alpha: Alpha = log_linear) -> Mix:
    """keep = alpha(t), the rest is a uniform token; t (B,) or (B, L) in [0, 1]."""
    keep = alpha(per_position(t))
    return Mix(keep, torch.zeros_like(keep), 1 - keep)


def hybrid(t: Tensor, p_uniform: float, gamma: float = 1.0) -> Mix:
    """GIDD: ((1 - t), t, c) / (1 + c) with c = B (t (1 - t))^(gamma/2), B = 2^gamma p_u / (1 -
    p_u); t (B,) or (B, L)."""
    t = per_position(t)
    if p_uniform == 0:  # c is zero, but its derivative at the ends would be 0 times infinity
        return Mix(1 - t, t, torch.zeros_like(t))
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
