"""Standard errors and 95 % intervals of numbers of a set of texts, over other such sets."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLES = 1000
TAILS = (2.5, 97.5)
NORMAL = 1.96  # standard errors, half of a 95 % interval
SURE = 2  # standard errors from which on a difference counts


class Estimate(NamedTuple):
    """A number and its standard error."""

    value: float
    stderr: float


class Interval(NamedTuple):
    """A number of a set of texts, its standard error and its 95 % interval; None where one text
    leaves nothing to estimate them from."""

    value: float
    stderr: float | None
    low: float | None
    high: float | None

    def fields(self, name: str) -> dict[str, Any]:
        """The fields of a record: `name`, `name`_stderr and `name`_ci."""
        ends = None if self.low is None else [self.low, self.high]
        return {name: self.value, f"{name}_stderr": self.stderr, f"{name}_ci": ends}


def bootstrap(
    columns: Values, statistic: Callable[[Values], Values], seed: int, resamples: int = RESAMPLES
) -> Interval:
    """statistic(sums (..., k)) of the sums of `columns` (S, k) over texts, with its deviation and
    percentiles over sets of S texts that are drawn from them with replacement."""
    texts = len(columns)
    value = float(statistic(columns.sum(0)))
    if texts < 2:
        return Interval(value, None, None, None)
    times = np.random.default_rng(seed).multinomial(texts, np.full(texts, 1 / texts), resamples)
    drawn = statistic(times.astype(np.float64) @ columns)
    drawn = drawn[np.isfinite(drawn)]  # a set without a scored token has no number
    low, high = np.percentile(drawn, TAILS)
    return Interval(value, float(drawn.std(ddof=1)), float(low), float(high))


def standard_error(values: Values) -> float:
    """Of the mean of two or more independent values (S,)."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def mean(values: Values, seed: int) -> Interval:
    """The mean over texts of one number each (S,)."""
    return bootstrap(np.stack([values, np.ones_like(values)], 1), ratio, seed)


def ratio(sums: Values) -> Values:
    """The first sum over the second, NaN where that is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def jackknife(share: float, without: Values) -> Interval:
    """A share that is no function of sums, by its values (S,) without each text in turn; drawing
    texts twice would bias it. Its interval ends where shares do, at 0 and 1."""
    texts = len(without)
    if texts < 2:
        return Interval(share, None, None, None)
    stderr = float(np.sqrt((texts - 1) * without.var()))
    low, high = share - NORMAL * stderr, share + NORMAL * stderr
    return Interval(share, stderr, max(low, 0.0), min(high, 1.0))


def wilson(share: float, count: float) -> Interval:
    """The share of successes among `count` independent trials, with Wilson's interval: 64 of 64
    leave failures possible, which drawing them again would deny. The error is half of it over that
    of a normal one, and so never 0."""
    square = NORMAL**2 / count
    centre = (share + square / 2) / (1 + square)
    stderr = math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    low, high = centre - NORMAL * stderr, centre + NORMAL * stderr
    return Interval(share, stderr, max(low, 0.0), min(high, 1.0))
