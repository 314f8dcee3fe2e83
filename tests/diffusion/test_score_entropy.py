"""SEDD's losses against the definition of score entropy, and against the bounds of predictions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import xlogy

from diffusion.bound import interpolating_bound, masked_bound
from diffusion.process import Process
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, columns

TIMES = [1e-3, 0.1, 0.5, 0.9, 0.999]
ABSORBING = [name for name in SCHEDULES if name.startswith("absorbing")]
UNIFORM = [name for name in SCHEDULES if name.startswith("uniform")]
sizes = pytest.mark.parametrize("size", [2, 3, 6])


def rows(size, kind):
    """Outputs (n, N) of a network, every x with every z that noise makes of it, at TIMES."""
    states = [size] if kind == "absorbing" else list(range(size))
    every = torch.cartesian_prod(torch.arange(size), torch.tensor(states), torch.arange(len(TIMES)))
    x, z, t = every[:, 0], every[:, 1], torch.tensor(TIMES, dtype=torch.float64)[every[:, 2]]
    generator = torch.Generator().manual_seed(size)
    outputs = 2 * torch.randn(x.numel(), size, generator=generator, dtype=torch.float64)
    return outputs, x, z, t


def sigma_rate(name, t):
    """d sigma / dt = -(log alpha)' by five-point differences of the closed form."""
    h = 5e-3 * min(t, 1 - t)
    log = [math.log(brute_force.LEVELS[name](t + i * h)[0]) for i in (-2, -1, 1, 2)]
    return (8 * (log[1] - log[2]) - (log[0] - log[3])) / (12 * h)


def score_entropy(scores, name, x, z, t):
    """sigma' sum over y != z of Q(y -> z) (s_y - r_y log s_y + r_y (log r_y - 1)), with the ratios
    r_y = q_t(y | x) / q_t(z | x) of the full marginal."""
    size = len(scores) - 1
    rates = brute_force.rate_matrix(name.split()[0], size)[:, z]
    chance = brute_force.marginal(brute_force.LEVELS[name](t), size)[x]
    total = 0.0
    for y in range(size + 1):
        ratio = chance[y] / chance[z]
        if y != z and rates[y] > 0:
            entropy = scores[y] - xlogy(ratio, scores[y]) + xlogy(ratio, ratio) - ratio
            total += rates[y] * entropy
    return sigma_rate(name, t) * total


def absorbing_scores(outputs, name, t):
    """(n, N+1): s_y = exp(output_y) / N / (e^sigma - 1), one for the mask itself."""
    sigma = np.array([-math.log(brute_force.LEVELS[name](float(part))[0]) for part in t])
    scores = outputs.exp().numpy() / outputs.shape[-1] / np.expm1(sigma)[:, None]
    return np.append(scores, np.ones((len(scores), 1)), axis=1)


@sizes
@pytest.mark.parametrize("name", ABSORBING)
def test_absorbing_score_entropy_is_its_definition(name, size):
    outputs, x, z, t = rows(size, "absorbing")
    scores = absorbing_scores(outputs, name, t)
    expected = [
        score_entropy(row[0], name, *row[1:])
        for row in zip(scores, x.tolist(), z.tolist(), t.tolist(), strict=True)
    ]
    actual = masked_score_entropy(outputs, x, z, *columns(name, t, size))
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-7, atol=1e-8)


@sizes
@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_score_entropy_is_its_definition(name, size):
    log_s, x, z, t = rows(size, "uniform")
    scores = np.append(log_s.exp().numpy(), np.zeros((len(log_s), 1)), axis=1)
    expected = [
        score_entropy(row[0], name, *row[1:])
        for row in zip(scores, x.tolist(), z.tolist(), t.tolist(), strict=True)
    ]
    actual = uniform_score_entropy(log_s, x, z, *columns(name, t, size))
    torch.testing.assert_close(actual, torch.tensor(expected), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["absorbing cosine", "uniform cosine", "uniform geometric"])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_it_is_the_limit_of_divergences_of_one_step(name, t):
    """lim KL(q(z_s | z_t, x) || Euler step of the scores) / dt, extrapolated from dt, dt/2, dt/4:
    a bound on the likelihood for scores that belong to no prediction too."""
    size, kind, level = 4, name.split()[0], brute_force.LEVELS[name]
    outputs, x, z, times = rows(size, kind)
    outputs, x, z = (part[times == 0.5] for part in (outputs, x, z))
    mix, rate = columns(name, torch.full((len(x),), t).double(), size)
    loss = masked_score_entropy if kind == "absorbing" else uniform_score_entropy
    actual = loss(outputs, x, z, mix, rate)
    scores = np.append(outputs.exp().numpy(), np.ones((len(x), 1)), axis=1)
    if kind == "absorbing":
        scores = absorbing_scores(outputs, name, [t] * len(x))
    rates = brute_force.rate_matrix(kind, size)
    for row, state in enumerate(z.tolist()):
        clean = np.eye(size)[x[row]]

        def slope(dt, row=row, state=state, clean=clean):
            sigma = math.log(level(t - dt)[0] / level(t)[0])
            true = brute_force.posterior(clean, state, level(t), level(t - dt))
            step = brute_force.euler_step(scores[row], state, rates, sigma)
            return brute_force.divergence(true, step) / dt

        dt = 1e-3 / (1 + float(actual[row]))  # a step of many jumps is no step
        one, two, four = slope(4 * dt), slope(2 * dt), slope(dt)
        limit = (8 * four - 6 * two + one) / 3
        assert abs(float(actual[row]) - limit) < 1e-5 * (1 + limit)


@sizes
@pytest.mark.parametrize("name", ABSORBING)
def test_normalised_absorbing_scores_cost_what_mdlm_costs(name, size):
    logits, x, z, t = rows(size, "absorbing")
    mix, rate = columns(name, t, size)
    expected = masked_bound(logits, x, z, mix, rate)
    outputs = logits.log_softmax(-1) + math.log(size)
    actual = masked_score_entropy(outputs, x, z, mix, rate)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-12)
    # Any other total costs more: S - 1 - log S a unit of rate.
    doubled = masked_score_entropy(outputs + math.log(2), x, z, mix, rate)
    torch.testing.assert_close(doubled, expected + rate.mask / mix.mask * (1 - math.log(2)))


@sizes
@pytest.mark.parametrize("name", UNIFORM)
def test_the_scores_of_a_prediction_cost_what_the_prediction_costs(name, size):
    """s_y = q_t(y | p) / q_t(z | p): the bound of UDLM and DUO."""
    logits, x, z, t = rows(size, "uniform")
    mix, rate = columns(name, t, size)
    noised = (mix.keep[:, None] * logits.softmax(-1) + mix.noise[:, None] / size).log()
    log_s = noised - noised.gather(-1, z[:, None])
    expected = interpolating_bound(logits, x, z, mix, rate)
    actual = uniform_score_entropy(log_s, x, z, mix, rate)
    # near t = 0 and 1 both are differences of terms of size 1 / noise and 1 / keep
    scale = 1 / mix.noise.clamp_max(1) + 1 / mix.keep
    assert ((actual - expected).abs() <= 1e-13 * scale + 1e-10 * expected).all()


@pytest.mark.parametrize("name", UNIFORM)
def test_the_output_at_the_present_token_plays_no_part(name):
    log_s, x, z, t = rows(5, "uniform")
    mix, rate = columns(name, t, 5)
    expected = uniform_score_entropy(log_s, x, z, mix, rate)
    for own in (-1000.0, 40.0, 1000.0):
        moved = log_s.scatter(-1, z[:, None], own)
        assert torch.equal(uniform_score_entropy(moved, x, z, mix, rate), expected)
        found, _ = uniform_score_entropy.with_gradient(moved, x, z, mix, rate)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("name", [*ABSORBING, *UNIFORM])
def test_the_truth_costs_nothing_and_nothing_costs_less(name):
    size, kind = 4, name.split()[0]
    outputs, x, z, t = rows(size, kind)
    mix, rate = columns(name, t, size)
    process = Process(SCHEDULES[name], size)
    assert process.has_noise == (kind == "uniform")
    if kind == "absorbing":
        sure = torch.full_like(outputs, -1e3).scatter(-1, x[:, None], math.log(size))
        assert masked_score_entropy(sure, x, z, mix, rate).abs().max() < 1e-12
        assert (masked_score_entropy(outputs, x, z, mix, rate) >= 0).all()
        return
    truth = mix.keep[:, None] * torch.eye(size).double()[x] + mix.noise[:, None] / size
    log_s = truth.log() - truth.gather(-1, z[:, None]).log()
    exact = uniform_score_entropy(log_s, x, z, mix, rate)
    assert (exact.abs() <= 1e-14 * (1 / mix.noise + 1 / mix.keep)).all()
    assert (uniform_score_entropy(outputs, x, z, mix, rate) > 0).all()
