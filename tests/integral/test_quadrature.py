import math

import numpy as np
import pytest
import torch
from scipy.special import log_ndtr

from integral.quadrature import HIGH, LOW, integrals, log_slope
from tests.integral import reference
from tests.integral.reference import VOCABULARIES, quadrature

GAMMAS = [-7.9, -7.0, -6.0, -5.0, -4.0, -3.55, -3.0, -2.5, -1.85, -1.0, 0.0, 2.0, 5.0, 8.0]


def at(*gammas):
    return torch.tensor(gammas, dtype=torch.float64)


def relative(values, expected):
    return np.abs(values.numpy() / np.array(expected) - 1).max()


@pytest.mark.parametrize("size", VOCABULARIES)
def test_keep_and_its_derivative_equal_another_integral_by_other_nodes(size):
    keep, slope = quadrature(at(*GAMMAS), size)
    assert keep.dtype == slope.dtype == torch.float64
    assert relative(keep, [reference.keep(gamma, size) for gamma in GAMMAS]) < 1e-12
    assert relative(slope, [reference.slope(gamma, size) for gamma in GAMMAS]) < 1e-12


@pytest.mark.parametrize("size", VOCABULARIES)
def test_what_is_lost_is_right_where_keep_rounds_to_one(size):
    lost = integrals(at(*GAMMAS), size).log_lost.exp()
    assert relative(lost, [reference.lost(gamma, size) for gamma in GAMMAS]) < 1e-12


@pytest.mark.parametrize("size", VOCABULARIES)
@pytest.mark.parametrize("gamma", [-3.0, -1.85, 0.0, 3.0])
def test_the_power_series_where_it_converges(size, gamma):
    """K/(K-1) (exp(-mu^2/2) sum_n mu^n/n! M_n - 1/K), M_n = E[z^n Phi(z)^(K-1)]."""
    mu, others = math.exp(-gamma / 2), size - 1
    z, weight = reference.nodes(-14.0, 14.0)
    term, total, slope = weight * reference.normal(z) * np.exp(others * log_ndtr(z)), 0.0, 0.0
    for n in range(150):
        moment = term.sum()
        total += moment
        slope += (term * z).sum() - mu * moment
        term = term * z * mu / (n + 1)
    scale = size / others
    keep = scale * (math.exp(-(mu**2) / 2) * total - 1 / size)
    slope *= scale * math.exp(-(mu**2) / 2) * -mu / 2
    found = torch.stack(quadrature(at(gamma), size)).squeeze(1)
    # the series is a difference of numbers of the size of keep + 1 / N
    np.testing.assert_allclose(found[0], keep, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(found[1], slope, rtol=1e-10, atol=1e-14)


def test_two_tokens_have_a_closed_form():
    gamma = torch.linspace(LOW, HIGH, 33, dtype=torch.float64)
    mu = torch.exp(-gamma / 2)
    keep, slope = quadrature(gamma, 2)
    torch.testing.assert_close(keep, torch.erf(mu / 2), rtol=1e-13, atol=0)
    expected = -mu / 2 * torch.exp(-(mu**2) / 4) / math.sqrt(math.pi)
    torch.testing.assert_close(slope, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(
    "size, gamma, keep",
    [(30522, -3.5, 0.942), (30522, -1.75, 0.049), (50257, -3.55, 0.945), (50257, -1.85, 0.049)],
)
def test_published_windows_keep_what_they_are_known_to_keep(size, gamma, keep):
    assert abs(float(quadrature(at(gamma), size)[0]) - keep) < 6e-4


def test_every_shape_and_the_slope_of_the_slope():
    gamma = at(*GAMMAS).view(2, 7)
    for value in integrals(gamma, 27):
        assert value.shape == (2, 7)
    _, steeper = torch.func.jvp(lambda g: log_slope(g, 27), (gamma,), (torch.ones_like(gamma),))
    step = 1e-4
    expected = (log_slope(gamma + step, 27) - log_slope(gamma - step, 27)) / (2 * step)
    torch.testing.assert_close(steeper, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("gamma", [-8.01, 8.01, math.nan, math.inf])
def test_outside_the_domain_is_refused_by_name(gamma):
    with pytest.raises(ValueError, match=r"gamma=.*must lie in \[-8, 8\]"):
        quadrature(at(0.0, gamma), 27)


@pytest.mark.parametrize("size", [1, 0, -3])
def test_fewer_than_two_tokens_are_refused(size):
    with pytest.raises(ValueError, match=f"vocab_size={size}"):
        quadrature(at(0.0), size)
