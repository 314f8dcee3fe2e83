"""A Gaussian path seen from the true token: its own normal and the k largest of all others, without
a vector of the vocabulary's size."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 1e-300  # keeps the logarithm of a uniform number away from zero


class Competitors(NamedTuple):
    """Standard normals, float64: `own` (B, L) at the true token, and at the `others` (B, L, k) the
    `heights` (B, L, k), the k largest of the other N - 1, descending."""

    own: Tensor
    others: Tensor
    heights: Tensor


def uniforms_needed(k: int) -> int:
    """How many uniform numbers a draw of k competitors takes for each token."""
    return 1 + 3 * k


def competitors(x: Tensor, k: int, vocab_size: int, uniform: Tensor | None = None) -> Competitors:
    """A draw for each token x (B, L). `uniform` (1 + 3 k, B, L) float64 in [0, 1) replaces torch's
    generator on x's device. The largest of n uniform numbers is u^(1/n), the next u^(1/(n-1)) times
    that; ValueError where there are no k other tokens."""
    if not 1 <= k <= vocab_size - 1:
        raise ValueError(f"algo.k={k}: an integer from 1 to {vocab_size - 1}, the other tokens")
    if uniform is None:
        shape = (uniforms_needed(k), *x.shape)
        uniform = torch.rand(shape, dtype=torch.float64, device=x.device)
    own, gaps, picks, order = uniform.movedim(0, -1).split([1, k, k, k], -1)  # (B, L, 1 or k)
    n = vocab_size - 1
    nats = -torch.log1p(-gaps)
    left = torch.arange(n, n - k, -1, dtype=torch.float64, device=x.device)
    log_uniform = -(nats.clamp(min=SMALLEST) / left).cumsum(-1)
    heights = _quantile(log_uniform)
    others = _distinct(picks, order, n)
    normal = torch.special.ndtri(own.squeeze(-1).clamp(min=2**-54))
    return Competitors(normal, others + (others >= x.unsqueeze(-1)), heights)


def latent(drawn: Competitors, x: Tensor, gamma: Tensor) -> Tensor:
    """z (B, L) = argmax w at gamma (B,); one draw at several gammas is one path."""
    mu = torch.exp(-gamma.double() / 2).unsqueeze(-1)
    return torch.where(drawn.own + mu > drawn.heights[..., 0], x, drawn.others[..., 0])


def soft_tokens(
    drawn: Competitors, x: Tensor, gamma: Tensor, tau: float, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """Tokens (B, L, k + 1), x first, and their weights in softmax(w / tau), float32; gamma (B,).

    The other N - 1 - k terms of the softmax's sum, of which only the bound c, the smallest kept
    height, is known, are replaced by their expectation: with r = s / tau each is
    E[exp(r X) | X < c] = exp(r^2 / 2) Phi(c - r) / Phi(c), hence the weights sum to less than 1."""
    gamma = gamma.double().unsqueeze(-1)
    r = torch.sqrt(torch.sigmoid(gamma)) / tau  # (B, 1)
    kept = torch.cat([(drawn.own + torch.exp(-gamma / 2)).unsqueeze(-1), drawn.heights], -1)
    kept = kept * r.unsqueeze(-1)  # w / tau
    lowest = drawn.heights[..., -1]
    # r^2 / 2 + log Phi(c - r), without the difference of large numbers
    below = r * lowest - lowest**2 / 2
    below = below + torch.log(torch.special.erfcx((r - lowest) / math.sqrt(2)) / 2)
    below = below - torch.special.log_ndtr(lowest)
    count = vocab_size - 1 - drawn.heights.shape[-1]
    tail = below + (math.log(count) if count else -math.inf)
    total = torch.logaddexp(kept.logsumexp(-1), tail)
    tokens = torch.cat([x.unsqueeze(-1), drawn.others], -1)
    return tokens, (kept - total.unsqueeze(-1)).exp().float()


def _quantile(log_uniform: Tensor) -> Tensor:
    """Phi^-1(exp(log_uniform)), right in both tails."""
    upper = -torch.special.ndtri(-torch.expm1(log_uniform))
    return torch.where(log_uniform > -1, upper, torch.special.ndtri(log_uniform.exp()))


def _distinct(picks: Tensor, order: Tensor, n: int) -> Tensor:
    """(B, L, k) of 0..n-1, without replacement and in random order, from uniforms `picks` and
    `order` (B, L, k). Floyd's algorithm draws the set, but its i-th number is not uniform: the
    numbers are paired with heights in order, so they are shuffled."""
    numbers = picks[..., :0].long()
    for last, uniform in zip(range(n - picks.shape[-1], n), picks.split(1, -1), strict=True):
        number = (uniform * (last + 1)).long()
        taken = (numbers == number).any(-1, keepdim=True)
        numbers = torch.cat([numbers, torch.where(taken, last, number)], -1)
    return numbers.gather(-1, order.argsort(-1))
