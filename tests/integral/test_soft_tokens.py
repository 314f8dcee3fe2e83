import math

import numpy as np
import pytest
import torch
from scipy.special import log_ndtr

from integral.competitors import Competitors, competitors, latent, soft_tokens, uniforms_needed
from tests.diffusion.tensor_sizes import LargestTensor
from tests.integral import reference


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(12)


def gammas(*values):
    return torch.tensor(values, dtype=torch.float64)


def path(drawn, gamma):
    """w (B, L, k + 1) of the kept tokens, x first."""
    signal, noise = torch.sqrt(torch.sigmoid(-gamma)), torch.sqrt(torch.sigmoid(gamma))
    own = signal[:, None] + noise[:, None] * drawn.own
    return torch.cat([own.unsqueeze(-1), noise[:, None, None] * drawn.heights], -1)


def total(drawn, x, gamma, tau, size):
    """The sum under the weights, from the largest of them."""
    _, weights = soft_tokens(drawn, x, gamma, tau, size)
    weight, at = weights.double().max(-1, keepdim=True)
    return (path(drawn, gamma).gather(-1, at) / tau).exp().squeeze(-1) / weight.squeeze(-1)


@pytest.mark.parametrize("tau", [1e-4, 1e-2, 1.0, 10.0])
def test_with_all_competitors_it_is_the_softmax(tau):
    x, gamma = torch.randint(6, (2, 500)), gammas(-1, 2)
    drawn = competitors(x, 5, 6)
    tokens, weights = soft_tokens(drawn, x, gamma, tau, 6)
    assert (tokens.sort(-1)[0] == torch.arange(6)).all() and (tokens[..., 0] == x).all()
    assert weights.dtype == torch.float32
    expected = (path(drawn, gamma) / tau).softmax(-1).float()
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("lowest", [-3.0, 0.5, 3.0, 4.5])
@pytest.mark.parametrize("gamma, tau", [(-3.5, 0.05), (-2.0, 1.0), (1.0, 0.3), (8.0, 10.0)])
def test_the_rest_counts_with_its_expectation_below_the_lowest(lowest, gamma, tau):
    """E[exp(r X) | X < c] by quadrature, instead of by the normal's distribution function."""
    size, k = 40, 2
    drawn = Competitors(
        torch.tensor([[0.3]], dtype=torch.float64),
        torch.tensor([[[5, 6]]]),
        torch.tensor([[[lowest + 0.1, lowest]]], dtype=torch.float64),
    )
    r = math.sqrt(1 / (1 + math.exp(-gamma))) / tau
    at, weight = reference.nodes(lowest - 20, lowest)
    each = weight @ np.exp(r * at - at**2 / 2 - log_ndtr(lowest)) / math.sqrt(2 * math.pi)
    kept = (path(drawn, gammas(gamma)) / tau).exp()
    expected = kept / (kept.sum() + (size - 1 - k) * each)
    _, weights = soft_tokens(drawn, torch.tensor([[0]]), gammas(gamma), tau, size)
    torch.testing.assert_close(weights, expected.float(), rtol=2e-6, atol=1e-30)
    assert weights.sum() <= 1


@pytest.mark.parametrize("k", [1, 2, 5])
def test_kept_and_expected_terms_together_have_the_mean_of_all_terms(k):
    """E of the sum over all N tokens, exp(a / tau + r^2 / 2) + (N - 1) exp(r^2 / 2), is known."""
    size, count, gamma, tau = 12, 200_000, 0.5, 0.7
    x = torch.zeros(1, count, dtype=torch.long)
    sums = total(competitors(x, k, size), x, gammas(gamma), tau, size)
    signal, noise = (math.sqrt(1 / (1 + math.exp(sign * gamma))) for sign in (1, -1))
    expected = math.exp((noise / tau) ** 2 / 2) * (math.exp(signal / tau) + size - 1)
    assert abs(float(sums.mean()) - expected) < 4 * float(sums.std()) / math.sqrt(count)


@pytest.mark.parametrize("size, k", [(3, 1), (12, 2), (50257, 3)])
def test_a_low_temperature_points_at_z(size, k):
    x, gamma = torch.randint(size, (2, 2000)), gammas(-2.5, 0.0)
    drawn = competitors(x, k, size)
    tokens, weights = soft_tokens(drawn, x, gamma, 1e-9, size)
    pointed = tokens.gather(-1, weights.argmax(-1, keepdim=True)).squeeze(-1)
    assert (pointed == latent(drawn, x, gamma)).all()
    assert (weights.max(-1)[0] > 0.999).double().mean() > 0.999


@pytest.mark.parametrize("size, k", [(2, 1), (3, 1), (50257, 2), (256_000, 20)])
@pytest.mark.parametrize("tau", [1e-4, 1e-3, 1.0, 10.0])
def test_weights_stay_finite_and_sum_to_one_at_most(size, k, tau):
    gamma = gammas(-8, -3.5, -1.75, 0, 8)
    x = torch.randint(size, (5, 200))
    _, weights = soft_tokens(competitors(x, k, size), x, gamma, tau, size)
    assert weights.isfinite().all() and (weights >= 0).all()
    assert (weights.double().sum(-1) <= 1 + 1e-6).all()
    if tau <= 1e-3 and size > 3:
        assert weights.sum(-1).mean() > 0.9


def test_no_tensor_of_the_vocabularys_size():
    x = torch.randint(50257, (2, 16))
    with LargestTensor() as largest:
        drawn = competitors(x, 3, 50257)
        soft_tokens(drawn, x, gammas(-3, -2), 1e-3, 50257)
    assert largest.elements <= 2 * 16 * uniforms_needed(3)
