import math

import numpy as np
import pytest
import torch

from diffusion.process import Process
from samplers.grids import GRIDS, cosine_grid, plateau_grid, plateau_time, uniform_grid
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times

NAMES = ["absorbing log-linear", "absorbing cosine closed", "uniform geometric", "hybrid 0.6"]


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("steps", [2, 3, 7, 100])
@pytest.mark.parametrize("end", [0.0, 1e-5])
def test_every_grid_falls_from_one_to_its_end(name, steps, end):
    more = {"process": Process(SCHEDULES[NAMES[0]], 3)} if "constant" in name else {}
    grid = GRIDS[name](steps, end, **more)
    assert grid.dtype == torch.float64 and grid.shape == (steps + 1,)
    assert grid[0] == 1 and grid[-1] == end
    assert (grid.diff() <= 0).all() and (grid[:-1] > 0).all()
    assert (grid.diff() < 0).all() or more


def test_the_cosine_grid_begins_with_short_steps():
    expected = [math.cos(math.pi / 2 * i / 8) for i in range(9)]
    np.testing.assert_allclose(cosine_grid(8), expected, atol=1e-15)
    assert -cosine_grid(8).diff()[0] < 0.05 < 0.15 < -cosine_grid(8).diff()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_plateau_lies_where_the_noise_keeps_its_share(name):
    """9 steps down, 10 that stay, 1 to the end, for any schedule."""
    process, level = Process(SCHEDULES[name], 3), brute_force.LEVELS[name]
    grid = plateau_grid(20, process=process, plateau=0.9, high_frac=0.45, middle_frac=0.5)
    top = grid[9:20].unique()
    assert len(top) == 1
    assert level(float(top))[0] == pytest.approx(0.9, abs=1e-12)
    np.testing.assert_allclose(grid[:10], np.linspace(1, float(top), 10))
    assert grid[20] == 0


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 9])
def test_a_plateau_is_left_even_with_few_steps(steps):
    process = Process(SCHEDULES[NAMES[0]], 3)
    grid = plateau_grid(steps, process=process, plateau=0.9)
    top = float(grid[1:-1].min())
    assert 1 > top > 0 and top == pytest.approx(0.1 / (1 - 1e-3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [1e-6, 0.01, 0.3, 0.5, 0.77, 0.999])
def test_the_time_of_a_plateau_leads_back_to_its_share(name, t):
    process = Process(SCHEDULES[name], 3)
    keep = process.schedule(times(t)).keep
    found = process.schedule(times(plateau_time(process, float(keep)))).keep
    torch.testing.assert_close(found, keep, rtol=1e-14, atol=1e-15)
    assert [plateau_time(process, share) for share in (2.0, -1.0)] == pytest.approx([0, 1])


@pytest.mark.parametrize("plateau", [1.0, 1.5, 0.0, 1e-4])
def test_a_plateau_that_the_noise_never_passes_is_refused_by_name(plateau):
    with pytest.raises(ValueError, match=rf"sampling\.plateau={plateau}: between 0\.001 and 1"):
        plateau_grid(20, process=Process(SCHEDULES[NAMES[0]], 3), plateau=plateau)


def test_a_plateau_needs_two_steps():
    with pytest.raises(ValueError, match=r"sampling\.steps=1: a plateau needs at least 2"):
        plateau_grid(1, process=Process(SCHEDULES[NAMES[0]], 3))


@pytest.mark.parametrize("steps", [0, -3])
@pytest.mark.parametrize("make", [uniform_grid, cosine_grid])
def test_a_grid_without_steps_is_refused_by_name(make, steps):
    with pytest.raises(ValueError, match=rf"sampling\.steps={steps}"):
        make(steps)
