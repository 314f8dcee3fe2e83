"""The float32 race follows the same steps, where no token is rare; see test_exact_draws for where
one is."""

import numpy as np
import pytest
import torch

from diffusion.logits_warper import LogitsWarper
from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.grids import uniform_grid
from samplers.race import gumbel32
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, SHAPES, times
from tests.samplers.table_network import TableNetwork, counts_of, follows

SIZE, LENGTH = 3, 2
NAMES = ["absorbing log-linear", "uniform log-linear closed", "hybrid 0.6"]
TEXTS = {NAMES[0]: (3, 1), NAMES[1]: (2, 1), NAMES[2]: (3, 0)}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(100)


def kernel(law, name, t, s):
    later, earlier = brute_force.LEVELS[name](t), brute_force.LEVELS[name](s)

    def redrawn(row, position, z):
        made = brute_force.posterior(law[row, position], z, later, earlier, SIZE)
        made[SIZE] *= s > 0  # the last step is among the tokens
        return made / made.sum() if made.sum() > 0 else np.eye(SIZE + 1)[z]

    return brute_force.product_kernel(redrawn, SIZE, LENGTH)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("t", "s"), [(0.7, 0.3), (0.9, 0.8), (0.3, 0.0)])
def test_one_step_is_bayes_by_enumeration(name, t, s):
    network, process = TableNetwork(SIZE, LENGTH, SIZE, seed=101), Process(SCHEDULES[name], SIZE)
    expected = kernel(network.law(), name, t, s)
    assert follows(gumbel32, network, process, TEXTS[name], times(t, s), expected)


@pytest.mark.parametrize("s", [0.3, 0.0])
def test_a_mask_among_the_outputs_is_one_of_the_racers(s):
    alpha = SHAPES["log-linear closed"]
    process = Process(Absorbing(alpha), SIZE, predicts_mask=True)
    network, level = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=102), lambda t: (1 - t, t, 0.0)
    law = network.law()
    if s == 0:
        law[..., SIZE] = 0
        law /= law.sum(-1, keepdims=True)

    def redrawn(row, position, z):
        return brute_force.posterior(law[row, position], z, level(0.7), level(s), SIZE)

    expected = brute_force.product_kernel(redrawn, SIZE, LENGTH)
    assert follows(gumbel32, network, process, (3, 1), times(0.7, s), expected)


def test_shaping_is_of_the_prediction_not_of_the_posterior():
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=103, warper=LogitsWarper(temperature=0.5))
    law = network.law() ** 2
    expected = kernel(law / law.sum(-1, keepdims=True), NAMES[0], 0.7, 0.3)
    process = Process(SCHEDULES[NAMES[0]], SIZE)
    assert follows(gumbel32, network, process, (3, 1), times(0.7, 0.3), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_run_follows_the_product_of_its_steps(name):
    network, process = TableNetwork(SIZE, LENGTH, SIZE, seed=104), Process(SCHEDULES[name], SIZE)
    one = brute_force.leftover(brute_force.LEVELS[name](1.0), SIZE)
    law, grid = np.kron(one, one) / one.sum() ** 2, uniform_grid(3)
    for k in range(3):
        law = law @ kernel(network.law(), name, float(grid[k]), float(grid[k + 1]))
    tokens = gumbel32(network, process, process.prior((60_000, LENGTH)), grid)
    assert (tokens < SIZE).all() and brute_force.agrees(counts_of(tokens, SIZE + 1), law)


def test_clamped_positions_stay_and_complete_texts_are_not_shown():
    network, shown = TableNetwork(SIZE, LENGTH, SIZE, seed=105), []

    def clamp(z):
        return torch.cat([torch.full_like(z[:, :1], 2), z[:, 1:]], 1)

    def denoise(z, t, rows):
        shown.append(rows)
        assert (z[:, 0] == 2).all() and (z == SIZE).any(-1).all()
        return network(z, t, rows)

    process = Process(SCHEDULES[NAMES[0]], SIZE)
    tokens = gumbel32(denoise, process, process.prior((50, LENGTH)), uniform_grid(9), clamp)
    assert len(shown[0]) == 50 > len(shown[-1]) and (tokens[:, 0] == 2).all()
