from itertools import combinations

import numpy as np
import pytest
import torch

from diffusion.process import Process
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times

TIMES = (0.0, 1e-3, 0.2, 0.5, 0.8, 1.0)
every_schedule = pytest.mark.parametrize("name", brute_force.LEVELS)


def coin_law(process, prediction, t, s):
    """(N+1, N+1) of (1 - rho) [z_s = z_t] + rho q_s(z_s | p) for each z_t, with rho from `jump`."""
    size = len(prediction)
    z = torch.arange(size + 1)[None]
    at_input = torch.from_numpy(np.append(prediction, 0.0))[None]
    rho = process.jump(z, at_input, times(t), times(s))[0].numpy()[:, None]
    level = tuple(float(part) for part in process.schedule(times(s)))
    return (1 - rho) * np.eye(size + 1) + rho * (prediction @ brute_force.marginal(level, size))


def predictions(size):
    """Certainty of every clean token, then smooth and sharp beliefs."""
    rough = np.random.default_rng(size).gamma(0.3, size=(4, size)) + 1e-9
    return [*np.eye(size), *(rough / rough.sum(1, keepdims=True))]


@every_schedule
@pytest.mark.parametrize("size", [3, 4, 5])
def test_the_coin_is_bayes_for_every_state_prediction_and_pair_of_times(name, size):
    process, level = Process(SCHEDULES[name], size), brute_force.LEVELS[name]
    for s, t in combinations(TIMES, 2):
        for prediction in predictions(size):
            law = coin_law(process, prediction, t, s)
            possible = np.flatnonzero(prediction @ brute_force.marginal(level(t), size))
            expected = [
                brute_force.posterior(prediction, z, level(t), level(s)) for z in range(size + 1)
            ]
            assert abs(law - np.array(expected))[possible].max() < 1e-12


@every_schedule
def test_the_prediction_plays_no_part_at_masks(name):
    z = torch.full((1, 3), 4)
    process, t, s = Process(SCHEDULES[name], 4), times(0.7), times(0.3)
    believed = process.jump(z, torch.tensor([[0.0, 0.4, 1.0]]), t, s)
    assert (believed == believed[0, 0]).all()


@every_schedule
def test_jump_takes_each_text_at_its_own_times(name):
    process = Process(SCHEDULES[name], 4)
    z, at_input = torch.arange(5).repeat(3, 1), torch.rand(3, 5).double()
    t, s = times(0.9, 0.5, 0.3), times(0.4, 0.1, 0.0)
    together = process.jump(z, at_input, t, s)
    assert together.shape == z.shape and together.dtype == torch.float64
    for row in range(3):
        part = slice(row, row + 1)
        alone = process.jump(z[part], at_input[part], t[part], s[part])
        torch.testing.assert_close(together[part], alone, rtol=0, atol=0)


@every_schedule
@pytest.mark.parametrize("step", [1e-12, 1e-6, 1e-2])
def test_rho_is_a_probability_for_any_step_and_time(name, step):
    t = torch.cat([torch.linspace(step, 1, 50, dtype=torch.float64), times(1 - 1e-15)])
    z = torch.arange(5).repeat(len(t), 1)
    for at_input in (0.0, 1e-12, 1.0):
        rho = Process(SCHEDULES[name], 4).jump(
            z, torch.full(z.shape, at_input).double(), t, (t - step).clamp_min(0)
        )
        assert rho.isfinite().all() and (rho >= 0).all() and (rho <= 1 + 1e-12).all()


@pytest.mark.parametrize("name", [n for n, level in brute_force.LEVELS.items() if level(0)[0] == 1])
def test_the_last_jump_redraws_every_mask_and_no_token_that_must_be_clean(name):
    z, half, end = torch.arange(5)[None], times(0.5), times(0.0)
    rho = Process(SCHEDULES[name], 4).jump(z, torch.full((1, 5), 0.25).double(), half, end)[0]
    if not name.startswith("uniform"):
        assert rho[4] == 1
    if name.startswith("absorbing"):
        assert (rho[:4] == 0).all()
