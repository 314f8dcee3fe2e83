"""Block diffusion by plain formulas: every block by itself, with the finished ones before it."""

import itertools
import math

import torch
from torch import Tensor

from algos.bd3lm import BD3LM
from backbones.attention import Pattern


def of_block(algorithm: BD3LM, before: Tensor, z: Tensor, level: Tensor | None = None) -> Tensor:
    """log p (B, n, N) of a block z (B, n) behind whole blocks (B, P): one plain pass over both,
    of which the network's own forward makes causal blocks; levels (B, P + n)."""
    text = torch.cat([before, z], 1)
    net = algorithm.backbone
    pattern = Pattern(algorithm.block_size) if before.shape[1] else Pattern()
    hidden = net(text, level, pattern=pattern)[:, before.shape[1] :]
    return net.head(hidden).double().log_softmax(-1)


def blocks_of(algorithm: BD3LM, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """(what is before it, the block) of texts (B, L)."""
    size = algorithm.block_size
    return [(x[:, :start], x[:, start : start + size]) for start in range(0, x.shape[1], size)]


def masked_nats(algorithm: BD3LM, x: Tensor) -> Tensor:
    """The exact bound (B,) of masked noise: all sets of masks of each block, k of n with the weight
    integral_0^1 t^(k - 1) (1 - t)^(n - k) dt = (k - 1)! (n - k)! / n!."""
    total = torch.zeros(len(x), dtype=torch.float64)
    for before, block in blocks_of(algorithm, x):
        n = block.shape[1]
        for masks in itertools.product([False, True], repeat=n):
            k, where = sum(masks), torch.tensor(masks)
            if k == 0:
                continue
            z = torch.where(where, algorithm.process.mask, block)
            log_p = of_block(algorithm, before, z).gather(-1, block.unsqueeze(-1)).squeeze(-1)
            weight = math.factorial(k - 1) * math.factorial(n - k) / math.factorial(n)
            total -= weight * log_p[:, where].sum(-1)
    return total


def uniform_nats(algorithm: BD3LM, x: Tensor, times: Tensor, weights: Tensor) -> Tensor:
    """The bound (B,) of uniform noise: all z of each block at all `times` (T,) of a quadrature, the
    loss by DUO's formula with whole vectors (SPEC 5), alpha' < 0."""
    size, total = algorithm.vocab_size, torch.zeros(len(x), dtype=torch.float64)
    for before, block in blocks_of(algorithm, x):
        n = block.shape[1]
        for z in itertools.product(range(size), repeat=n):
            z = torch.tensor(z).expand(len(x), n)
            for t, weight in zip(times, weights, strict=True):
                alpha, rate = 1 - t, -1.0  # of the closed log-linear schedule
                chance = (alpha * (z == block) + (1 - alpha) / size).prod(-1)
                level = torch.zeros(len(x), before.shape[1] + n, dtype=torch.float64)
                level[:, before.shape[1] :] = -torch.log(1 - (1 - 1e-3) * t)
                p = of_block(algorithm, before, z, level).exp()
                truth = torch.nn.functional.one_hot(block, size).double()
                xb, pb = (size * alpha * law + 1 - alpha for law in (truth, p))
                at = z.unsqueeze(-1)
                xi, pi = xb.gather(-1, at), pb.gather(-1, at)
                ratio = (xb / xi * (pi * xb / (pb * xi)).log()).sum(-1)
                bracket = size / xi.squeeze(-1) - size / pi.squeeze(-1) - ratio
                total += weight * chance * (rate / (size * alpha) * bracket).sum(-1)
    return total
