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


def competitors(x: Tensor, k: int, vocab_size: int) -> Competitors:
    """A draw for each token x (B, L) from torch's generator on x's device.

    The largest of n uniform numbers is u^(1/n), the next u^(1/(n-1)) times that; ValueError where
    there are no k other tokens."""
    if not 1 <= k <= vocab_size - 1:
        raise ValueError(f"algo.k={k}: an integer from 1 to {vocab_size - 1}, the other tokens")
    shape, n = (*x.shape, k), vocab_size - 1
    own = torch.randn(x.shape, dtype=torch.float64, device=x.device)
    nats = torch.empty(shape, dtype=torch.float64, device=x.device).exponential_()
    left = torch.arange(n, n - k, -1, dtype=torch.float64, device=x.device)
    log_uniform = -(nats.clamp(min=SMALLEST) / left).cumsum(-1)
    heights = _quantile(log_uniform)
    others = _distinct(x.shape, k, n, x.device)
    return Competitors(own, others + (others >= x.unsqueeze(-1)), heights)


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
    E[exp(r X) | X < c] = exp(r^2 / 2) Phi(c - r) / Phi(c), hence the weights sum to less than 1.
    """
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


def _distinct(shape: tuple[int, ...], k: int, n: int, device: torch.device) -> Tensor:
    """(*shape, k) of 0..n-1, without replacement and in random order.

    Floyd's algorithm draws the set, but its i-th number is not uniform: the numbers are paired
    with heights in order, so they are shuffled."""
    chosen = torch.empty((*shape, 0), dtype=torch.int64, device=device)
    for last in range(n - k, n):
        # float64, as everywhere: torch.randint's remainders would favour the first tokens
        uniform = torch.rand((*shape, 1), dtype=torch.float64, device=device)
        number = (uniform * (last + 1)).long()
        taken = (chosen == number).any(-1, keepdim=True)
        chosen = torch.cat([chosen, torch.where(taken, last, number)], -1)
    order = torch.rand(chosen.shape, dtype=torch.float64, device=device).argsort(-1)
    return chosen.gather(-1, order)
