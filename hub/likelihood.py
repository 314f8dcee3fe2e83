"""Nats of texts in batches of one length."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from algos.base import Algorithm, Draws


class Nats(NamedTuple):
    """-log p of a text, or a bound on it: `stderr` is the standard error of its random noise, 0 for
    an exact number, None for a single pass; `tokens` are those that are scored."""

    nats: float
    stderr: float | None
    tokens: int


def likelihood(
    algorithm: Algorithm,
    rows: Sequence[list[int]],
    groups: Sequence[Sequence[int]],
    given: int,
    passes: int,
) -> list[Nats]:
    """-log p of each row of tokens, or the mean of a bound over `passes`; the first `given` tokens
    are not scored, `groups` are the positions of rows of one length."""
    sums = torch.zeros(passes, len(rows), dtype=torch.float64)
    for number in range(passes):
        for group in groups:
            tokens = torch.tensor([rows[i] for i in group], device=algorithm.device)
            noised = torch.ones_like(tokens, dtype=torch.bool)
            noised[:, :given] = False
            index = torch.tensor(group)
            batch = {"tokens": tokens, "scored": noised, "noised": noised, "index": index}
            nats = algorithm.nll(batch, Draws(number, passes)).double()
            nats = torch.where(algorithm.scored(batch), nats, 0.0)
            sums[number, group] = nats.sum(1).cpu()
    errors = [None if algorithm.nll_is_bound else 0.0] * len(rows)
    if passes > 1:
        errors = (sums.std(0) / passes**0.5).tolist()
    scored = [len(row) - given for row in rows]
    return [Nats(*row) for row in zip(sums.mean(0).tolist(), errors, scored, strict=True)]
