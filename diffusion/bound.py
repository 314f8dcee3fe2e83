"""Bounds on the negative log-likelihood, row by row: logits (n, N) in, nats (n,) out; z == N is the
mask."""

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.schedule import Mix


def masked_nats(logits: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """-log p(x) at masked rows, 0 elsewhere: MDLM's low-variance loss."""
    return torch.where(z == logits.shape[-1], F.cross_entropy(logits, x, reduction="none"), 0.0)


def masked_bound(logits: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
    """MDLM's continuous-time bound, (mask' / mask) (-log p(x)) at masked rows."""
    weight = torch.where(
        z == logits.shape[-1], rate.mask / mix.mask, 0.0
    )  # mask may be 0 elsewhere
    return weight * masked_nats(logits, x, z)


def interpolating_weight(x: Tensor, z: Tensor, mix: Mix, rate: Mix, vocab_size: int) -> Tensor:
    """w = (b' - keep'/keep b)(z) / q_t(z | x), the rate at which z is made by noise, over its
    probability."""
    masked = z == vocab_size
    b = torch.where(masked, mix.mask, mix.noise / vocab_size)
    b_rate = torch.where(masked, rate.mask, rate.noise / vocab_size)
    return (b_rate - rate.keep / mix.keep * b) / (b + mix.keep * (z == x))


def interpolating_divergence(logits: Tensor, x: Tensor, z: Tensor, mix: Mix) -> Tensor:
    """KL(q_t(. | x) || q_t(. | p)) + r - log r - 1 with r = q_t(z | x) / q_t(z | p).

    The sum over the vocabulary is sum_j log(keep p_j + n), n = noise / N, as N log n + sum_j
    log1p(p_j keep / n): one reduction over positive terms, no cancellation. The rest is float64 on
    n numbers."""
    vocab_size = logits.shape[-1]
    keep, n = mix.keep.double(), mix.noise.double() / vocab_size
    log_total = logits.logsumexp(-1)
    odds = torch.where(n > 0, keep / n, 0.0).to(logits.dtype)
    spread = torch.log1p(odds.unsqueeze(-1) * (logits - log_total.unsqueeze(-1)).exp()).sum(-1)

    def log_mass(token: Tensor) -> Tensor:  # log q_t(token | p)
        log_p = logits.gather(-1, token.unsqueeze(-1)).squeeze(-1) - log_total
        return torch.logaddexp(keep.log() + log_p, n.log())

    entropy = torch.xlogy(keep + n, keep + n) - torch.xlogy(n, n)
    divergence = entropy - keep * log_mass(x) - n * spread
    masked = z == vocab_size
    log_ratio = torch.log(keep * (z == x) + n) - log_mass(z.masked_fill(masked, 0))
    log_ratio = torch.where(masked | (keep * (z == x) + n == 0), 0.0, log_ratio)
    return divergence + torch.expm1(log_ratio) - log_ratio


def interpolating_bound(logits: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
    """The bound of every process of this suite (GIDD's; MDLM's without noise, UDLM's and DUO's
    without masks)."""
    weight = interpolating_weight(x, z, mix, rate, logits.shape[-1])
    return weight * interpolating_divergence(logits, x, z, mix)
