"""The exam of DESIGN 2(e): with exact predictions the bound, integrated over time, is the entropy.

Over [s, t] it is I(x; z_s) - I(x; z_t), the information that the noise takes away meanwhile.
"""

import numpy as np
import pytest
import torch

from diffusion.bound import interpolating_bound, masked_bound
from tests.diffusion import brute_force
from tests.diffusion.cases import columns

NAMES = ["absorbing log-linear", "uniform cosine", "hybrid 0.1", "hybrid 0.6"]
CLOSED = [name for name in brute_force.LEVELS if name.endswith("closed")]
every_noise = pytest.mark.parametrize("name", NAMES)


def full_posterior(language, level):
    """(S^L, L, N) of p(x_l | z): leave-one-out, weighted by what the position itself shows."""
    likelihood = brute_force.marginal(level, language.shape[0]).T[
        brute_force.states(language.shape[0], language.ndim)
    ]
    joint = brute_force.leave_one_out(language, level) * likelihood
    total = joint.sum(-1, keepdims=True)
    return np.divide(joint, total, out=np.full_like(joint, 1 / joint.shape[-1]), where=total > 0)


def expected_bound(language, name, t, predict, bound):
    """E over x and z of the bound summed over positions: each (z, l, x_l) times its chance."""
    size, level = language.shape[0], brute_force.LEVELS[name](t)
    prediction = np.log(predict(language, level))
    texts = brute_force.states(size, language.ndim)
    chance = brute_force.clean_and_rest(language, level)
    chance = chance * brute_force.marginal(level, size).T[texts]  # (S^L, L, N) of P(x_l, z)
    row, position, x = np.nonzero(chance)
    mix, rate = columns(name, torch.full((len(x),), t, dtype=torch.float64), size)
    logits = torch.from_numpy(prediction[row, position])
    z = torch.from_numpy(texts[row, position])
    nats = bound(logits, torch.from_numpy(x), z, mix, rate)
    return float(nats @ torch.from_numpy(chance[row, position, x]))


def integral(language, name, start, end, predict=brute_force.leave_one_out):
    """Gauss-Legendre from start to end, which must stay clear of 0 and 1."""
    points, weights = np.polynomial.legendre.leggauss(24)
    middle, half = (start + end) / 2, (end - start) / 2
    return half * sum(
        weight * expected_bound(language, name, middle + half * point, predict, interpolating_bound)
        for point, weight in zip(points, weights, strict=True)
    )


def integral_over_all_time(language, name, bound=interpolating_bound, first=-32):
    """Trapezoids on v of t = 1 / (1 + e^-v), which flattens the roots and logarithms at 0 and 1."""
    step, predict = 0.25, brute_force.leave_one_out
    points = 1 / (1 + np.exp(-np.arange(first, 22 + step, step)))
    return step * sum(
        t * (1 - t) * expected_bound(language, name, t, predict, bound) for t in points
    )


def lost(language, name, start, end):
    level = brute_force.LEVELS[name]
    before, after = (brute_force.information(language, level(t)) for t in (start, end))
    return before - after


@every_noise
@pytest.mark.parametrize(("size", "length"), [(3, 3), (2, 4), (5, 1)])
def test_bound_of_the_exact_prediction_is_the_information_lost(name, size, length):
    language = brute_force.random_language(size, length, seed=size)
    actual = integral(language, name, 0.1, 0.9)
    assert abs(actual - lost(language, name, 0.1, 0.9)) < 1e-9


@pytest.mark.parametrize("name", NAMES + CLOSED)
def test_over_all_time_it_is_the_entropy(name):
    language = brute_force.random_language(3, 3, seed=4)
    actual = integral_over_all_time(language, name)
    end = brute_force.LEVELS[name](1.0)
    left = brute_force.information(language, end)  # some 1e-3 nats where alpha(1) = 1e-3
    assert abs(left) < 1e-15 or not name.endswith("closed")
    assert abs(actual - (brute_force.entropy(language) - left)) < 2e-5


@pytest.mark.parametrize("name", [name for name in CLOSED if name.startswith("absorbing")])
def test_masked_bound_passes_the_same_exam(name):
    language = brute_force.random_language(3, 3, seed=5)
    actual = integral_over_all_time(language, name, masked_bound, first=-26)
    assert abs(actual - brute_force.entropy(language)) < 2e-5


@pytest.mark.parametrize("name", ["uniform log-linear", "hybrid 0.1", "hybrid 0.6"])
def test_tight_prediction_leaves_the_position_itself_out(name):
    """Wherever a token can be noise, the posterior that also trusts that token is beaten."""
    language = brute_force.random_language(3, 3, seed=6)
    trusting = integral(language, name, 0.1, 0.9, predict=full_posterior)
    assert trusting > lost(language, name, 0.1, 0.9) + 1e-3


def test_under_absorbing_noise_both_posteriors_are_one_at_masks():
    language = brute_force.random_language(3, 3, seed=7)
    level = brute_force.LEVELS["absorbing cosine"](0.4)
    masked = brute_force.states(3, 3) == 3
    shown, left_out = full_posterior(language, level), brute_force.leave_one_out(language, level)
    assert abs(shown - left_out)[masked].max() < 1e-12


@every_noise
def test_any_other_prediction_costs_more(name):
    language = brute_force.random_language(3, 3, seed=8)

    def blurred(language, level):
        return 0.9 * brute_force.leave_one_out(language, level) + 0.1 / 3

    assert integral(language, name, 0.1, 0.9, predict=blurred) > lost(language, name, 0.1, 0.9)
