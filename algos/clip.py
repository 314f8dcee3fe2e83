"""Clipped noise levels in training: which share of the bound varies least, and noise whose realised
share lies in it."""

import torch
from torch import Tensor

from algos.settings import CLIP_LOW

Clip = tuple[float, float]  # of times, or of shares of noise
STEP, NARROWEST = 0.05, 0.5  # of the clips that are searched


def clips() -> list[Clip]:
    """All (low, high) on a grid of (0, 1] that are wide enough."""
    count, least = round(1 / STEP), round(NARROWEST / STEP)
    return [
        (max(low * STEP, CLIP_LOW), high * STEP)
        for low in range(count)
        for high in range(low + least, count + 1)
    ]


class ClipSearch:
    """The variance of a block's loss per token with its time uniform in each of `clips`, from
    losses at times of any density: that of the times of an evaluation, 1 / weight."""

    def __init__(self, device: torch.device) -> None:
        self.clips = torch.tensor(clips(), dtype=torch.float64, device=device)
        # of each clip: the weights of the losses in it, times their powers 0, 1 and 2
        self.sums = torch.zeros(len(self.clips), 3, dtype=torch.float64, device=device)

    def add(self, nats: Tensor, scored: Tensor, t: Tensor, weight: Tensor) -> None:
        """The blocks of a batch, (B, blocks, n) each: t and weight are the same within a block."""
        count = scored.sum(-1)
        loss = torch.where(scored, nats.double(), 0.0).sum(-1)[count > 0] / count[count > 0]
        t, weight = (part[..., 0][count > 0].double() for part in (t, weight))
        low, high = self.clips.unbind(1)
        inside = weight * ((t >= low.unsqueeze(1)) & (t <= high.unsqueeze(1)))  # (clips, blocks)
        self.sums += inside @ torch.stack([loss**0, loss, loss**2], -1)

    def best(self, sums: Tensor) -> Clip:
        """The clip of the smallest variance by `sums`, those of all processes; of several the
        first."""
        total, first, second = sums.unbind(1)
        variance = second / total - (first / total) ** 2
        variance = torch.where(total > 0, variance, torch.inf)
        low, high = self.clips[variance.argmin()].tolist()
        return low, high


def coins_within(
    coin: Tensor, keep: Tensor, noised: Tensor, lot: Tensor, block: int, clip: Clip
) -> Tensor:
    """Coins (B, L) like `coin`, uniform and below `keep` (B, L) where a token stays, given that in
    each block the share of the `noised` positions that do not stay lies in `clip`; the law of
    drawing until it does, by one number of `lot` (B, L) for each block.

    The number of noise tokens is binomial, cut to what is allowed; which they are plays no part in
    it. A block in which no number is allowed, as one of which little is noised, is drawn freely, as
    is the low end of a clip that begins at `CLIP_LOW`."""
    coin, keep, noised, lot = (
        part.unflatten(1, (-1, block)) for part in (coin, keep.double(), noised, lot)
    )
    keep, lot = keep[..., :1], lot[..., :1]
    free = noised.sum(-1, keepdim=True).double()  # (B, blocks, 1)
    number = torch.arange(block + 1, dtype=torch.float64, device=coin.device)
    left = free - number
    chance = torch.lgamma(free + 1) - torch.lgamma(number + 1) - torch.lgamma(left.clamp_min(0) + 1)
    chance += torch.xlogy(number, 1 - keep) + torch.xlogy(left.clamp_min(0), keep)
    chance = torch.where(left >= 0, chance.exp(), 0.0)
    low, high = (0.0 if clip[0] <= CLIP_LOW else clip[0]), clip[1]
    allowed = (number >= low * free) & (number <= high * free) & (left >= 0)
    chance = torch.where(allowed | ~allowed.any(-1, keepdim=True), chance, 0.0).cumsum(-1)
    lost = (chance <= lot * chance[..., -1:]).sum(-1, keepdim=True)
    worth = torch.where(noised, coin, -1.0)  # among those that can be noise the largest coins fall
    rank = worth.argsort(-1).argsort(-1)
    falls = rank >= block - lost
    return torch.where(falls, (1 + keep) / 2, keep / 2).flatten(1)
