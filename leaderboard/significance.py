"""Significance of the differences between the rows of a table.

Three things vary. The noise of a bound: its standard error says how far the difference could be off
on *this* text. The text: how far it would move with as much *new* text of the same kind. Training:
how far with other *seeds*. Each has its own error, and a difference is held against the largest of
those that are known.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from evaluation.bootstrap import SURE
from evaluation.record_files import Sequences
from leaderboard.table import Measure

Pair = tuple[int, int]  # of rows, the earlier one first
LEVEL = 0.05  # of at least one false claim in a table, by Holm's procedure


class Side(NamedTuple):
    """A row in a comparison: its mean with the standard error of its noise, the deviation between
    its n runs, and the nats of each sequence where all runs scored the same ones."""

    value: float
    noise: float | None
    deviation: float | None
    n: int
    sequences: Sequences | None = None


class Difference(NamedTuple):
    """One value minus another, with the standard errors that are known; `df` belongs to `seeds`."""

    gap: float
    noise: float | None
    text: float | None
    seeds: float | None
    df: float

    @property
    def stderr(self) -> float | None:
        """The largest known error."""
        errors = [error for error in (self.noise, self.text, self.seeds) if error is not None]
        return max(errors) if errors else None

    @property
    def p(self) -> float:
        """The two-sided probability of such a gap, or a larger one, where there is no difference;
        Student's where the seeds decide. 1 where no error is known."""
        if self.stderr is None or not self.gap:
            return 1.0
        errors = ((self.noise, math.inf), (self.text, math.inf), (self.seeds, self.df))
        return max(_tail(self.gap, error, df) for error, df in errors if error is not None)


def side(measure: Measure) -> Side:
    """The side of a mean without sequences. Its error is the larger of the runs' own and that of
    their spread, and counts as their noise."""
    return Side(measure.mean, measure.stderr, measure.deviation, measure.n)


def difference(side: Side, other: Side) -> Difference:
    """`side` minus `other`, sequence by sequence where both have the same ones.

    text^2 = S / (S - 1) sum_i (d_i - D t_i)^2 / T^2 with d_i the difference of sequence i in nats,
    t_i its tokens, T their sum and D = sum_i d_i / T, which counts sequences as drawn
    independently. It has in it what the noise adds to the differences. noise^2 is at most that, and
    sum_i (var_i + var'_i) / T^2, which takes the two noises for independent: runs that were
    evaluated on the same times and noise differ by less.
    """
    seeds, df = _seeds(side, other)
    here, there = side.sequences, other.sequences
    if here is None or there is None or here.digest != there.digest:
        both_known = side.noise is not None and other.noise is not None
        noise = math.hypot(side.noise or 0.0, other.noise or 0.0) if both_known else None
        return Difference(side.value - other.value, noise, None, seeds, df)
    total, count = float(here.tokens.sum()), len(here.tokens)
    apart = here.nats - there.nats
    gap = math.fsum(apart) / total
    variance = math.fsum(here.variance + there.variance)
    noise = math.sqrt(variance) / total if math.isfinite(variance) else None
    text = None
    if count > 1:
        square = math.fsum((apart - gap * here.tokens) ** 2)
        text = math.sqrt(square * count / (count - 1)) / total
        noise = text if noise is None else min(noise, text)
    return Difference(gap, noise, text, seeds, df)


def significant_pairs(sides: Sequence[Side], new_text: bool = True) -> dict[Pair, bool]:
    """For every pair of rows, the earlier one first, whether their difference is real: above two
    standard errors and, as one of all the pairs, at Holm's level. Without `new_text` the error of
    new text is left out: then it is a difference on this very text."""
    pairs = list(combinations(range(len(sides)), 2))
    differences = [difference(sides[first], sides[second]) for first, second in pairs]
    if not new_text:
        differences = [d._replace(text=None) for d in differences]
    rejected = _holm([d.p for d in differences])
    real = [abs(d.gap) > SURE * (d.stderr or 0.0) for d in differences]
    return {pair: a and b for pair, a, b in zip(pairs, rejected, real, strict=True)}


def losing(losses: Sequence[Measure]) -> list[bool]:
    """Whether each number is really above zero: by two standard errors and at Holm's level."""
    tails = [_tail(loss.mean, loss.stderr, math.inf) if loss.stderr else 1.0 for loss in losses]
    return [
        rejected and loss.mean > SURE * (loss.stderr or 0.0)
        for loss, rejected in zip(losses, _holm(tails), strict=True)
    ]


def _holm(tails: Sequence[float]) -> list[bool]:
    """For each p-value whether Holm's procedure rejects its hypothesis, so that one false rejection
    among all of them has a chance below LEVEL."""
    rejected = [False] * len(tails)
    for rank, index in enumerate(sorted(range(len(tails)), key=tails.__getitem__)):
        if tails[index] > LEVEL / (len(tails) - rank):
            break
        rejected[index] = True
    return rejected


def _seeds(side: Side, other: Side) -> tuple[float | None, float]:
    """The standard error over seeds and its degrees of freedom, None where both have one seed."""
    parts = [(of.deviation, of.n) for of in (side, other) if of.deviation is not None]
    if not parts:
        return None, math.inf
    if len(parts) == 1:
        deviation, n = parts[0]
        return deviation * math.sqrt(1 / side.n + 1 / other.n), n - 1
    unit = max(deviation for deviation, _ in parts)
    if not unit:
        return 0.0, math.inf
    squares = [(deviation / unit) ** 2 / n for deviation, n in parts]
    weights = [square**2 / (n - 1) for square, (_, n) in zip(squares, parts, strict=True)]
    return unit * math.sqrt(sum(squares)), sum(squares) ** 2 / sum(weights)


def _tail(gap: float, error: float, df: float) -> float:
    if not error:
        return 0.0
    size = abs(gap) / error
    if math.isinf(df):
        return math.erfc(size / math.sqrt(2))
    return float(2 * stdtr(np.float64(df), -size))
