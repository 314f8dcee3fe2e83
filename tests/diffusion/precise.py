"""The losses by their definitions in more digits than float64 has, from the time on: nothing of the
suite, and no care for cancellation."""

from collections.abc import Callable
from typing import NamedTuple

import mpmath
import numpy as np

mpmath.mp.dps = 80
Numbers = np.ndarray  # of objects with 80 digits, or of longdouble


class Digits(NamedTuple):
    """A kind of numbers: from floats, and elementwise functions."""

    make: Callable
    log: Callable
    exp: Callable


MANY = Digits(
    np.frompyfunc(mpmath.mpf, 1, 1),
    np.frompyfunc(mpmath.log, 1, 1),
    np.frompyfunc(mpmath.exp, 1, 1),
)
LONG = Digits(np.longdouble, np.log, np.exp)  # 19 digits, for whole vocabularies


def straight(t, kind):
    """(keep, mask, noise) and its derivative: alpha = 1 - t."""
    zero = t * 0
    if kind == "absorbing":
        return (1 - t, t, zero), (zero - 1, zero + 1, zero)
    return (1 - t, zero, t), (zero - 1, zero, zero + 1)


def hybrid(t, share):
    """GIDD's mixture and its derivative, worked out by hand."""
    scale = 2 * share / (1 - share)
    c = scale * (t * (1 - t)) ** 0.5
    total, slope = 1 + c, c * (1 - 2 * t) / (2 * t * (1 - t))
    value = ((1 - t) / total, t / total, c / total)
    rate = (
        -1 / total - (1 - t) * slope / total**2,
        1 / total - t * slope / total**2,
        slope / total**2,
    )
    return value, rate


def softmax(logits: Numbers, digits: Digits) -> Numbers:
    weights = digits.exp(logits - logits.max())
    return weights / weights.sum()


def marginal(p: Numbers, level) -> Numbers:
    """(N+1,) of q_t(. | p)."""
    keep, mask, noise = level
    size = len(p)
    return np.append(keep * p + noise / size, mask)


def point(x: int, like: Numbers) -> Numbers:
    made = like * 0
    made[x] += 1
    return made


def entropy_of(p: Numbers, q: Numbers, digits: Digits):
    """KL(p || q), states that p never visits aside."""
    seen = p > 0
    return (p[seen] * digits.log(p[seen] / q[seen])).sum()


def interpolating(logits, x, z, level, rate, digits):
    """w (KL(q_t(. | x) || q_t(. | p)) + r - log r - 1)."""
    p, size = softmax(logits, digits), len(logits)
    clean, guess = marginal(point(x, p), level), marginal(p, level)
    b = level[1] if z == size else level[2] / size
    b_rate = rate[1] if z == size else rate[2] / size
    weight = (b_rate - rate[0] / level[0] * b) / clean[z]
    ratio = clean[z] / guess[z]
    return weight * (entropy_of(clean, guess, digits) + ratio - digits.log(ratio) - 1), weight


def masked(logits, x, z, level, rate, digits):
    """(mask' / mask) (-log p(x))."""
    weight = rate[1] / level[1]
    return -weight * digits.log(softmax(logits, digits)[x]), weight


def masked_score(outputs, x, z, level, rate, digits):
    """sigma' sum over y of s_y - r log s_x + r (log r - 1), r = keep / mask, s_y = r e^out / N."""
    size, ratio = len(outputs), level[0] / level[1]
    scores = ratio * digits.exp(outputs) / size
    sigma_rate = -rate[0] / level[0]
    total = scores.sum() - ratio * digits.log(scores[x]) + ratio * (digits.log(ratio) - 1)
    return sigma_rate * total, rate[1] / level[1]


def uniform_score(log_s, x, z, level, rate, digits):
    """sigma' / N sum over y != z of s_y - r_y log s_y + r_y (log r_y - 1)."""
    clean = marginal(point(x, log_s), level)[:-1]
    ratio, others = clean / clean[z], np.arange(len(log_s)) != z
    s, r = digits.exp(log_s)[others], ratio[others]
    sigma_rate = -rate[0] / level[0]
    total = (s - r * log_s[others] + r * (digits.log(r) - 1)).sum()
    return sigma_rate / len(log_s) * total, sigma_rate / len(log_s) * (s + r).sum()


def posteriors(logits, x, now, then, digits):
    """KL(q(z_s | mask, x) || q(z_s | mask, p)), p over N + 1 states, absorbing."""
    p = softmax(logits, digits)
    laws = []
    for law in (point(x, p), p):
        clean = then[0] * law
        clean[-1] += then[1]
        joint = clean * (1 - now[0] / then[0])
        joint[-1] = clean[-1]
        laws.append(joint / joint.sum())
    return entropy_of(*laws, digits)
