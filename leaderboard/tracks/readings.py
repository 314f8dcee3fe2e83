"""Readings of learning curves: where one first reaches a target, and its loss after so many tokens.
Both are interpolated along straight lines between validations."""

import math
from typing import NamedTuple

from evaluation.record_files import Curve


class Reached(NamedTuple):
    """Tokens and seconds of training at which a curve first reaches a target, with the standard
    errors that those of the validation loss give them."""

    tokens: float
    tokens_stderr: float
    seconds: float
    seconds_stderr: float


class Loss(NamedTuple):
    """A validation loss with its standard error for new text."""

    nats: float
    stderr: float


def reached(curve: Curve, target: float) -> Reached | None:
    """The first crossing of `target` from above; None where the curve does not reach it, and where
    its first point lies below already, since nothing says how far before it.

    Between the points a and b around it, x = x_a + u (x_b - x_a) with u = (y_a - target) /
    (y_a - y_b), and its error is that of y there times |(x_b - x_a) / (y_a - y_b)|."""
    losses = curve.nats
    after = next((n for n, loss in enumerate(losses) if loss <= target), None)
    if not after:
        return None
    before = after - 1
    fall = losses[before] - losses[after]
    share = (losses[before] - target) / fall
    error = _between(curve.stderr, before, share) / fall

    def place(axis: list[float]) -> tuple[float, float]:
        return _between(axis, before, share), error * (axis[after] - axis[before])

    return Reached(*place(curve.tokens), *place(curve.seconds))


def loss_at(curve: Curve, tokens: float) -> Loss | None:
    """The loss after so many tokens; None before the first validation and after the last one."""
    if not curve.tokens or not curve.tokens[0] <= tokens <= curve.tokens[-1]:
        return None
    after = next(n for n, count in enumerate(curve.tokens) if count >= tokens)
    before = max(after - 1, 0)
    width = curve.tokens[after] - curve.tokens[before]
    share = (tokens - curve.tokens[before]) / width if width else 0.0
    return Loss(_between(curve.nats, before, share), _between(curve.stderr, before, share))


def lowest(curve: Curve) -> tuple[float, Loss]:
    """The tokens at which a curve is lowest, and its loss there."""
    n = min(range(len(curve.nats)), key=curve.nats.__getitem__)
    return curve.tokens[n], Loss(curve.nats[n], curve.stderr[n])


def overtaken(curve: Curve, other: Curve) -> float | None:
    """The tokens from which on `curve` stays below `other` to the end, interpolated; None where it
    does not end below it. Both were validated after the same tokens."""
    gaps = [a - b for a, b in zip(curve.nats, other.nats, strict=True)]
    above = [n for n, gap in enumerate(gaps) if not gap < 0]
    last = above[-1] if above else -1
    if last == len(gaps) - 1:
        return None
    if last < 0:
        return curve.tokens[0]
    return _between(curve.tokens, last, gaps[last] / (gaps[last] - gaps[last + 1]))


def _between(values: list[float], before: int, share: float) -> float:
    """The value at `share` of the way from one point to the next; exact at the ends."""
    if not share or before + 1 >= len(values):
        return values[before]
    return math.fsum([(1 - share) * values[before], share * values[before + 1]])
