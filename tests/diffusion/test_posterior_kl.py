"""D3PM's divergence of one step against Bayes by enumeration over all N + 1 states."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from diffusion.bound import masked_bound
from diffusion.posterior_kl import posterior_kl
from diffusion.process import Process
from diffusion.schedule import Absorbing, Mix
from tests.diffusion import brute_force
from tests.diffusion.cases import SHAPES

SIZE = 4
LEVELS = {
    "log-linear closed": lambda t: (1 - t, t, 0.0),
    "cosine closed": lambda t: brute_force.LEVELS["absorbing cosine closed"](t),
    "log-linear": lambda t: brute_force.LEVELS["absorbing log-linear"](t),
}


def steps_of(name, t, steps):
    """The mixtures at t and one step earlier, as columns."""
    process = Process(Absorbing(SHAPES[name]), SIZE)
    pair = (process.mix(t)[0], process.mix((t - 1 / steps).clamp_min(0))[0])
    return [Mix(*(part[:, 0] for part in mix)) for mix in pair]


def outputs(count, mask_mass):
    """(n, N+1) logits; the mask gets `mask_mass` of the probability, None for exactly none."""
    logits = 2 * torch.randn(count, SIZE + 1, dtype=torch.float64)
    if mask_mass is None:
        logits[:, -1] = -torch.inf
        return logits
    tokens = logits[:, :-1].logsumexp(-1)
    logits[:, -1] = tokens + np.log(mask_mass / (1 - mask_mass))
    return logits


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("steps", [2, 5, 1000])
@pytest.mark.parametrize("mask_mass", [None, 1e-6, 0.3, 0.999])
def test_it_is_the_divergence_of_posteriors_by_bayes(name, steps, mask_mass):
    torch.manual_seed(steps)
    numbers = sorted({1, 2, 3, steps // 2, steps - 1, steps} & set(range(1, steps + 1)))
    x = torch.arange(SIZE).repeat_interleave(len(numbers))
    t = (torch.tensor(numbers).double() / steps).repeat(SIZE)
    logits, z = outputs(len(x), mask_mass), torch.full_like(x, SIZE)
    actual = posterior_kl(logits, x, z, *steps_of(name, t, steps))
    level = LEVELS[name]
    for row, p in enumerate(logits.softmax(-1).numpy()):
        later, earlier = level(float(t[row])), level(max(float(t[row]) - 1 / steps, 0.0))
        clean = np.eye(SIZE + 1)[x[row]]
        pair = [brute_force.posterior(q, SIZE, later, earlier, SIZE) for q in (clean, p)]
        expected = brute_force.divergence(*pair)
        assert abs(float(actual[row]) - expected) < 1e-11 * (1 + expected)


@pytest.mark.parametrize("mask_mass", [None, 0.3])
def test_tokens_that_are_no_mask_cost_nothing_by_bayes(mask_mass):
    """Which is why only masks are rows: an unmasked token stays, whatever the network says."""
    torch.manual_seed(1)
    for p in outputs(3, mask_mass).softmax(-1).numpy():
        for z in range(SIZE):
            for clean in (np.eye(SIZE + 1)[z], p):
                law = brute_force.posterior(clean, z, (0.4, 0.6, 0.0), (0.7, 0.3, 0.0), SIZE)
                assert abs(law - np.eye(SIZE + 1)[z]).max() < 1e-15


def test_without_mask_mass_a_straight_schedule_costs_what_mdlm_costs_for_any_step():
    """T KL = T (1 / T) / t (-log p(x)), MDLM's bound exactly."""
    torch.manual_seed(2)
    logits, x = outputs(40, None), torch.randint(SIZE, (40,))
    z = torch.full_like(x, SIZE)
    for steps in (2, 5, 1000):
        t = torch.randint(1, steps + 1, (40,)).double() / steps
        process = Process(Absorbing(SHAPES["log-linear closed"]), SIZE)
        mix, rate = (Mix(*(part[:, 0] for part in one)) for one in process.mix(t))
        actual = steps * posterior_kl(logits, x, z, *steps_of("log-linear closed", t, steps))
        expected = masked_bound(logits[:, :-1], x, z, mix, rate)
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["cosine closed", "geometric closed"])
def test_without_mask_mass_it_tends_to_mdlm_as_steps_grow(name):
    torch.manual_seed(3)
    logits, x, t = outputs(40, None), torch.randint(SIZE, (40,)), torch.linspace(0.1, 0.9, 40)
    z, t, errors = torch.full_like(x, SIZE), t.double(), []
    process = Process(Absorbing(SHAPES[name]), SIZE)
    mix, rate = (Mix(*(part[:, 0] for part in one)) for one in process.mix(t))
    expected = masked_bound(logits[:, :-1], x, z, mix, rate)
    for steps in (200, 400, 800):
        actual = steps * posterior_kl(logits, x, z, *steps_of(name, t, steps))
        errors.append((actual / expected - 1).abs().max())
    assert errors[0] < 0.2
    assert all(0.4 < late / early < 0.6 for early, late in pairwise(errors))


def test_mass_at_the_mask_costs_more_than_the_same_prediction_without_it():
    torch.manual_seed(4)
    x, t = torch.randint(SIZE, (60,)), torch.randint(1, 6, (60,)).double() / 5
    z, steps = torch.full_like(x, SIZE), steps_of("log-linear closed", t, 5)
    logits = outputs(60, 0.2)
    without = logits.clone()
    without[:, -1] = -torch.inf
    assert (posterior_kl(logits, x, z, *steps) > posterior_kl(without, x, z, *steps) + 1e-6).all()
    assert (posterior_kl(logits, x, z, *steps) >= 0).all()
