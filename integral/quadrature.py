"""The diffusion transformation operator: what an argmax makes of Gaussian noise.

For w = a x + s e with e ~ N(0, 1)^N, a^2 = sigmoid(-gamma) and s^2 = sigmoid(gamma), argmax w is x
with probability keep + (1 - keep) / N and every other token equally often. With mu = a / s =
exp(-gamma / 2) and P = E[Phi(e + mu)^(N - 1)], keep = (N P - 1) / (N - 1)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOW, HIGH = -8.0, 8.0  # the domain of gamma; below it 1 - keep is less than 1e-320
RULE = 1  # counts the revisions of this file that change its numbers

# All integrals run over y = e + mu / 2. There every integrand is log-concave with a curvature of at
# least one and its peak lies between 0 and 3.6, whatever N and gamma are, so one set of nodes
# serves them all; the trapezoid rule on them is exact to rounding.
NODES, FROM, TO = 401, -9.0, 11.0
_STEP = (TO - FROM) / (NODES - 1)
_LOG_NORMAL = math.log(math.sqrt(2 * math.pi))


class Integrals(NamedTuple):
    """log keep, log(1 - keep) and log(-d keep / d gamma), each right where it is very negative."""

    log_keep: Tensor
    log_lost: Tensor
    log_slope: Tensor


def integrals(gamma: Tensor, vocab_size: int) -> Integrals:
    """The three logarithms in the shape of `gamma`, by quadrature in float64. ValueError where
    gamma leaves the domain or there are fewer than two tokens."""
    check_vocabulary(vocab_size)
    check_domain(gamma)
    y, half = _nodes(gamma)
    scale = math.log(vocab_size / (vocab_size - 1) * _STEP)
    others, density = vocab_size - 1, -((y - half) ** 2) / 2 - _LOG_NORMAL
    own, bare = torch.special.log_ndtr(y + half), torch.special.log_ndtr(y - half)
    # E[1 - Phi(e + mu)^(N-1)] and E[Phi(e + mu)^(N-1) - Phi(e)^(N-1)]: N P - 1 would cancel.
    lost = scale + (density + torch.log(-torch.expm1(others * own))).logsumexp(-1)
    gained = others * own + torch.log(-torch.expm1(others * (bare - own)))
    kept = scale + (density + gained).logsumexp(-1)
    keep = torch.where(lost < math.log(0.5), torch.log1p(-lost.exp()), kept)
    return Integrals(keep, lost, log_slope(gamma, vocab_size))


def log_slope(gamma: Tensor, vocab_size: int) -> Tensor:
    """log(-d keep / d gamma), from dP / d mu = E[(N - 1) Phi(e + mu)^(N-2) phi(e + mu)], whose
    integrand is the Gaussian exp(-y^2 - mu^2 / 4) / (2 pi) times a power of Phi."""
    y, half = _nodes(gamma)
    mass = (-(y**2) + (vocab_size - 2) * torch.special.log_ndtr(y + half)).logsumexp(-1)
    constant = math.log(vocab_size * _STEP / (4 * math.pi))
    return constant + mass - torch.exp(-gamma.double()) / 4 - gamma.double() / 2


def _nodes(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """The nodes y (NODES,), and mu / 2 in a column."""
    y = torch.linspace(FROM, TO, NODES, dtype=torch.float64, device=gamma.device)
    return y, torch.exp(-gamma.double() / 2).unsqueeze(-1) / 2


def check_vocabulary(vocab_size: int) -> None:
    if vocab_size < 2:
        raise ValueError(f"vocab_size={vocab_size}: a noise over tokens needs at least 2 of them")


def check_domain(gamma: Tensor) -> None:
    outside = ~((gamma >= LOW) & (gamma <= HIGH))  # so that NaN is outside
    if bool(outside.any()):
        raise ValueError(f"gamma={float(gamma[outside][0])}: must lie in [{LOW:g}, {HIGH:g}]")
