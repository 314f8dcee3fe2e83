"""Bounds against formulas written down in other papers' terms, over full vocabularies."""

import math

import pytest
import torch

from diffusion.bound import (
    interpolating_bound,
    interpolating_divergence,
    interpolating_weight,
    masked_bound,
)
from diffusion.process import Process
from diffusion.schedule import Absorbing, LogLinear, Mix
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, columns

EDGES = [1e-4, 1e-3, 0.03, 0.3, 0.5, 0.7, 0.97, 1 - 1e-4]
PLAIN = [name for name in SCHEDULES if not name.endswith("closed")]
ABSORBING = [name for name in PLAIN if name.startswith("absorbing")]
UNIFORM = [name for name in PLAIN if name.startswith("uniform")]
sizes = pytest.mark.parametrize("size", [2, 5, 257])


def rows(size, states, spread=3.0):
    """For each time of EDGES, 12 rows that see each of the states "same", "other" and "mask"."""
    generator = torch.Generator().manual_seed(size)
    count = 12 * len(EDGES)
    logits = spread * torch.randn(count, size, generator=generator, dtype=torch.float64)
    x = torch.randint(size, (count,), generator=generator)
    shift = torch.randint(1, size, (count,), generator=generator)
    made = {"same": x, "other": (x + shift) % size, "mask": torch.full_like(x, size)}
    z = torch.stack([made[state] for state in states])
    z = z[torch.arange(count) % len(states), torch.arange(count)]
    t = torch.tensor(EDGES, dtype=torch.float64).repeat_interleave(12)
    return logits, x, z, t


def alpha_and_rate(name, t):
    """alpha and d alpha / dt from the formulas of the papers, eps = 1e-3."""
    if name.endswith("log-linear"):
        return 1 - 0.999 * t, torch.full_like(t, -0.999)
    if name.endswith("cosine"):
        angle = math.pi / 2 * (1 - 0.999 * t)
        return 2 * (angle / 2).sin() ** 2, -0.999 * math.pi / 2 * angle.sin()
    sigma = 1e-4 ** (1 - t) * 20**t
    return (-sigma).exp(), -(-sigma).exp() * sigma * math.log(2e5)


def udlm(logits, x, z, alpha, alpha_rate):
    """UDLM's continuous-time loss with its sum over all N tokens."""
    size = logits.shape[-1]
    base = (1 - alpha)[:, None]
    clean = size * alpha[:, None] * torch.eye(size, dtype=torch.float64)[x] + base
    guess = size * alpha[:, None] * logits.softmax(-1) + base
    clean_z, guess_z = clean.gather(1, z[:, None]), guess.gather(1, z[:, None])
    cross = (clean / clean_z * (guess_z * clean / (guess * clean_z)).log()).sum(-1)
    return alpha_rate / (size * alpha) * (size / clean_z[:, 0] - size / guess_z[:, 0] - cross)


def duo(logits, x, z, alpha, alpha_rate):
    """DUO's Rao-Blackwellised form of the same loss, which treats z = x and z != x apart."""
    size = logits.shape[-1]
    same = (z == x).double()
    kappa = (1 - alpha) / (size * alpha + 1 - alpha)
    clean_z = 1 - alpha + size * alpha * same
    guess = size * alpha[:, None] * logits.softmax(-1) + (1 - alpha)[:, None]
    guess_z, guess_x = guess.gather(1, z[:, None])[:, 0], guess.gather(1, x[:, None])[:, 0]
    total = (guess_z[:, None] / guess).log().sum(-1)
    bracket = size / clean_z - size / guess_z - (kappa * same + 1 - same) * total
    bracket -= (1 - same) * size * alpha / (1 - alpha) * (guess_z / guess_x).log()
    bracket -= ((size - 1) * kappa * same - (1 - same) / kappa) * kappa.log()
    return alpha_rate / (size * alpha) * bracket


def gidd_weight(x, z, t, share, size):
    """The three closed-form weights of GIDD at gamma = 1."""
    c = 2 * share / (1 - share) * (t * (1 - t)).sqrt()
    clean = c / (2 * t) / (size * (1 - t) * (1 - t + c / size))
    other = 1 / (2 * t * (1 - t))
    return torch.where(z == size, 2 * other, torch.where(z == x, clean, other))


def gidd_divergence(logits, x, z, t, share):
    """KL over all N+1 states plus the Itakura-Saito term r - log r - 1."""
    size = logits.shape[-1]
    c = 2 * share / (1 - share) * (t * (1 - t)).sqrt()
    noise = torch.cat([(c / size)[:, None].expand(-1, size), t[:, None]], 1) / (1 + c)[:, None]
    keep = ((1 - t) / (1 + c))[:, None]
    clean = noise + keep * torch.eye(size, size + 1, dtype=torch.float64)[x]
    guess = noise + keep * torch.nn.functional.pad(logits.softmax(-1), (0, 1))
    ratio = (clean.gather(1, z[:, None]) / guess.gather(1, z[:, None]))[:, 0]
    return (clean * (clean / guess).log()).sum(-1) + ratio - ratio.log() - 1


@sizes
@pytest.mark.parametrize("name", ABSORBING)
@pytest.mark.parametrize("bound", [masked_bound, interpolating_bound])
def test_absorbing_is_mdlm(name, size, bound):
    logits, x, z, t = rows(size, ["mask", "same"])
    alpha, alpha_rate = alpha_and_rate(name, t)
    log_p = logits.log_softmax(-1).gather(1, x[:, None])[:, 0]
    expected = torch.where(z == size, alpha_rate / (1 - alpha) * log_p, 0.0)
    actual = bound(logits, x, z, *columns(name, t, size))
    assert (actual[z != size] == 0).all()
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("bound", [masked_bound, interpolating_bound])
def test_a_clean_text_at_time_zero_costs_nothing(bound):
    logits, x, _, _ = rows(5, ["same"])
    mix, rate = columns("absorbing log-linear", torch.zeros(len(x)).double(), 5)
    assert (bound(logits, x, x, mix, rate) == 0).all()


@sizes
@pytest.mark.parametrize("name", UNIFORM)
@pytest.mark.parametrize("formula", [udlm, duo])
def test_uniform_is_udlm_and_duo(name, size, formula):
    logits, x, z, t = rows(size, ["same", "other"])
    expected = formula(logits, x, z, *alpha_and_rate(name, t))
    actual = interpolating_bound(logits, x, z, *columns(name, t, size))
    # at t near 0 and 1 it is the formulas that cancel: terms of size 1 / (1 - alpha) and 1 / alpha
    torch.testing.assert_close(actual, expected, rtol=1e-7, atol=1e-8)


@sizes
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_hybrid_is_gidd(share, size):
    logits, x, z, t = rows(size, ["same", "other", "mask"])
    mix, rate = columns(f"hybrid {share}", t, size)
    weight, divergence = gidd_weight(x, z, t, share, size), gidd_divergence(logits, x, z, t, share)
    torch.testing.assert_close(
        interpolating_weight(x, z, mix, rate, size), weight, rtol=1e-9, atol=0
    )
    torch.testing.assert_close(
        interpolating_divergence(logits, x, z, mix), divergence, rtol=1e-9, atol=1e-12
    )
    actual = interpolating_bound(logits, x, z, mix, rate)
    torch.testing.assert_close(actual, weight * divergence, rtol=1e-9, atol=1e-11)


@sizes
def test_the_interpolating_bound_without_uniform_noise_is_the_masked_bound(size):
    logits, x, z, t = rows(size, ["mask", "same"], spread=60.0)
    value, rate = Process(Absorbing(LogLinear(eps=0.0)), size).mix(t)
    mix, rate = (Mix(*(part[:, 0] for part in parts)) for parts in (value, rate))
    for given, accuracy in ((logits, 1e-11), (logits.float(), 1e-4)):
        actual = interpolating_bound(given, x, z, mix, rate)
        assert (actual[z != size] == 0).all()
        expected = masked_bound(given, x, z, mix, rate)
        # float32 log-probabilities near zero are good to the last digit of the largest logit
        assert ((actual - expected).abs() <= accuracy * (expected + 1 / t)).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_expected_weight_is_the_rate_of_forgetting(name):
    """E_z[w] = -keep' / keep, whatever the noise."""
    size, t = 4, torch.tensor(EDGES, dtype=torch.float64)
    mix, rate = columns(name, t, size)
    expected = 0.0
    for z in range(size + 1):
        leftover = mix.mask if z == size else mix.noise / size
        chance = leftover + mix.keep * (z == 0)
        x, state = torch.zeros(len(t), dtype=torch.long), torch.full((len(t),), z)
        weight = interpolating_weight(x, state, mix, rate, size)
        expected = expected + torch.where(chance > 0, chance * weight, 0.0)
    torch.testing.assert_close(expected, -rate.keep / mix.keep, rtol=1e-11, atol=0)


def possible(name):
    states = {"absorbing": ["same", "mask"], "uniform": ["same", "other"]}
    return states.get(name.split()[0], ["same", "other", "mask"])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_bound_is_the_limit_of_posterior_divergences(name, t):
    """lim KL(q(z_s | z_t, x) || q(z_s | z_t, p)) / dt, extrapolated from dt, dt/2 and dt/4."""
    size, level = 4, brute_force.LEVELS[name]
    logits, x, z, _ = rows(size, possible(name))
    logits, x, z = logits[:12], x[:12], z[:12]
    actual = interpolating_bound(logits, x, z, *columns(name, torch.full((12,), t), size))
    for row, p in enumerate(logits.softmax(-1).numpy()):
        clean = torch.eye(size)[x[row]].numpy()

        def slope(dt, clean=clean, p=p, state=int(z[row])):
            pair = [brute_force.posterior(b, state, level(t), level(t - dt)) for b in (clean, p)]
            return brute_force.divergence(*pair) / dt

        one, two, four = slope(4e-4), slope(2e-4), slope(1e-4)
        limit = (8 * four - 6 * two + one) / 3
        assert abs(float(actual[row]) - limit) < 2e-6 * (1 + limit)


@pytest.mark.parametrize("name", SCHEDULES)
def test_bound_is_zero_for_certainty_of_the_truth_and_never_negative(name):
    logits, x, z, t = rows(5, possible(name))
    mix, rate = columns(name, t, 5)
    sure = 60.0 * torch.eye(5, dtype=torch.float64)[x]
    assert interpolating_bound(sure, x, z, mix, rate).abs().max() < 1e-10
    assert (interpolating_bound(logits, x, z, mix, rate) >= -1e-12).all()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("size", [2, 257, 50_257])
def test_float32_logits_are_enough(name, size):
    logits, x, z, t = rows(size, possible(name))
    logits = logits.float()
    mix, rate = columns(name, t, size)
    low = interpolating_bound(logits, x, z, mix, rate)
    high = interpolating_bound(logits.double(), x, z, mix, rate)
    # a row costs w times a divergence, which is known to the last digits of its largest logit
    weight = interpolating_weight(x, z, mix, rate, size)
    assert ((low - high).abs() <= 1e-5 * high + 2e-6 * weight).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_gradient_agrees_with_finite_differences(name):
    logits, x, z, t = rows(4, possible(name), spread=1.0)
    middle = (t > 0.01) & (t < 0.99)
    mix, rate = (Mix(*(c[middle] for c in m)) for m in columns(name, t, 4))
    x, z = x[middle], z[middle]
    given = logits[middle].requires_grad_()
    assert torch.autograd.gradcheck(lambda g: interpolating_bound(g, x, z, mix, rate), (given,))


@pytest.mark.parametrize("name", SCHEDULES)
def test_gradients_stay_finite_at_extreme_logits(name):
    logits, x, z, t = rows(7, possible(name), spread=100.0)
    given = logits.float().requires_grad_()
    interpolating_bound(given, x, z, *columns(name, t, 7)).sum().backward()
    assert given.grad.isfinite().all()
