import math

import pytest
import torch

from diffusion.process import Process
from diffusion.schedule import ALPHAS, Absorbing, Closed, hybrid
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, SHAPES, times

every_schedule = pytest.mark.parametrize("name", brute_force.LEVELS)
GRID = torch.linspace(0, 1, 101, dtype=torch.float64)


def rate_of(schedule, t):
    return Process(schedule, 7).mix(t)[1]


def test_the_three_alphas_are_known_by_name():
    assert set(ALPHAS) == {"log-linear", "cosine", "geometric"}


@every_schedule
def test_mix_is_three_float64_columns_that_sum_to_one(name):
    mix = SCHEDULES[name](GRID)
    for part in mix:
        assert part.shape == (101, 1) and part.dtype == torch.float64
        assert (part >= 0).all() and (part <= 1).all()
    torch.testing.assert_close(sum(mix), torch.ones(101, 1).double(), rtol=0, atol=4e-16)


@every_schedule
def test_mix_equals_its_closed_form(name):
    mix = torch.cat(SCHEDULES[name](GRID), 1)
    expected = torch.tensor(
        [brute_force.LEVELS[name](t) for t in GRID.tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(mix, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "clean", "noised"),
    [
        ("log-linear", 1, 1e-3),
        ("cosine", 1, 1 - math.cos(math.pi / 2 * 1e-3)),
        ("geometric", math.exp(-1e-4), math.exp(-20)),
    ],
)
def test_alpha_end_points(name, clean, noised):
    ends = ALPHAS[name]()(times(0, 1)).flatten()
    torch.testing.assert_close(ends, times(clean, noised), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ALPHAS)
@pytest.mark.parametrize("count", [1, 7, 8, 64, 1000])
def test_closed_shapes_reach_one_and_zero_exactly_for_any_number_of_times(name, count):
    alpha = Closed(ALPHAS[name]())
    ends = torch.zeros(count, 1).double(), torch.ones(count, 1).double()
    assert (alpha(ends[0]) == 1).all() and (alpha(ends[1]) == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_hybrid_is_clean_at_zero_and_all_mask_at_one(share):
    mix = torch.cat(hybrid(times(0, 1), share), 1)
    assert mix.tolist() == [[1, 0, 0], [0, 1, 0]]


@every_schedule
def test_keep_falls_strictly(name):
    assert (SCHEDULES[name](GRID).keep[:, 0].diff() < 0).all()


@every_schedule
def test_every_step_forward_is_a_stochastic_matrix(name):
    level = {t: tuple(map(float, SCHEDULES[name](times(t)))) for t in (0.0, 1e-3, 0.3, 0.5, 0.9)}
    for s in level:
        for t in (t for t in level if t > s):
            matrix = brute_force.transition(level[t], level[s], 4)
            assert matrix.min() >= -1e-15
            assert abs(matrix.sum(1) - 1).max() < 1e-14


@every_schedule
def test_rate_equals_central_differences(name):
    t, step = GRID[1:-1:7], 1e-6
    up, down = SCHEDULES[name](t + step), SCHEDULES[name](t - step)
    value, rate = Process(SCHEDULES[name], 7).mix(t)
    for part, here, after, before in zip(rate, value, up, down, strict=True):
        assert part.shape == here.shape == (len(t), 1) and part.dtype == torch.float64
        torch.testing.assert_close(part, (after - before) / (2 * step), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(sum(rate), torch.zeros(len(t), 1).double(), rtol=0, atol=1e-12)


def test_cosine_rate_carries_the_chain_factor_of_eps():
    t = GRID[1:]
    rate = rate_of(SCHEDULES["absorbing cosine"], t).keep[:, 0]
    expected = -(1 - 1e-3) * math.pi / 2 * torch.sin(math.pi / 2 * (1 - (1 - 1e-3) * t))
    torch.testing.assert_close(rate, expected, rtol=1e-12, atol=1e-15)


def test_geometric_rate_equals_its_closed_form():
    t = GRID
    sigma = 1e-4 ** (1 - t) * 20**t
    rate = rate_of(SCHEDULES["uniform geometric"], t).keep[:, 0]
    expected = -torch.exp(-sigma) * sigma * math.log(20 / 1e-4)
    torch.testing.assert_close(rate, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.6])
@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_p_uniform_is_the_share_of_noise_at_one_half(share, gamma):
    mix = hybrid(times(0.5), share, gamma)
    torch.testing.assert_close(mix.noise[0], times(share), rtol=1e-14, atol=0)
    torch.testing.assert_close(mix.keep, mix.mask, rtol=1e-14, atol=0)


def test_hybrid_of_gamma_two_equals_its_closed_form():
    mix = torch.cat(hybrid(GRID, 0.3, 2.0), 1)
    expected = [brute_force.hybrid(t, 0.3, 2.0) for t in GRID.tolist()]
    torch.testing.assert_close(
        mix, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-15
    )


MASSES = times(0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9, 1.0)


def bisected(schedule, mass: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        below = float(schedule(times(middle)).mask) < mass
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("shape", SHAPES)
def test_the_time_of_a_mask_mass_in_closed_form_is_that_of_a_bisection(shape):
    """Beyond what the noise ever masks, and before, too: the nearer end of time."""
    schedule = Absorbing(SHAPES[shape])
    found = schedule.time(MASSES)
    expected = times(*(bisected(schedule, mass) for mass in MASSES.tolist()))
    # Where the mass hardly depends on the time, a rounding of the mass moves the time.
    moved = 4e-16 / Process(schedule, 7).mix(expected)[1].mask[:, 0].clamp_min(1e-9)
    assert ((found - expected).abs() <= moved + 1e-15).all()
    torch.testing.assert_close(
        schedule(found).mask[:, 0], schedule(expected).mask[:, 0], rtol=0, atol=1e-15
    )
