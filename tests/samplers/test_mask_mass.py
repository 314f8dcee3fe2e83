"""Ancestral steps of predictions that have mass on the mask, as D3PM's."""

import numpy as np
import pytest
import torch

from diffusion.logits_warper import LogitsWarper
from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.ancestral import ancestral
from samplers.grids import uniform_grid
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, SHAPES, times
from tests.samplers.table_network import TableNetwork, counts_of, follows

SIZE, LENGTH = 3, 2
TEXTS = [(3, 3), (3, 1), (0, 3), (2, 1)]
PROCESS = Process(Absorbing(SHAPES["log-linear closed"]), SIZE, predicts_mask=True)
texts = pytest.mark.parametrize("text", TEXTS)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(30)


def level(t):
    return (1 - t, t, 0.0)


def kernel(law, t, s):
    """(S^L, S^L) of one step; the last one redraws every mask among the tokens."""

    def redrawn(row, position, z):
        p = law[row, position]
        if s == 0:
            tokens = np.append(p[:SIZE] / p[:SIZE].sum(), 0.0)
            return tokens if z == SIZE else np.eye(SIZE + 1)[z]
        return brute_force.posterior(p, z, level(t), level(s), SIZE)

    return brute_force.product_kernel(redrawn, SIZE, LENGTH)


@texts
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.6), (0.7, 0.3), (0.02, 0.01), (0.3, 0.0)])
def test_one_step_from_any_text_is_bayes_by_enumeration(text, t, s):
    network = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=31, spread=1.5)
    assert network.law()[..., SIZE].max() > 0.5  # some of them trust the mask most
    expected = kernel(network.law(), t, s)
    assert follows(ancestral, network, PROCESS, text, times(t, s), expected)


def test_a_whole_run_follows_the_product_of_its_steps():
    network, steps = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=32), 3
    grid, law = uniform_grid(steps), np.eye((SIZE + 1) ** LENGTH)[-1]
    for k in range(steps):
        law = law @ kernel(network.law(), float(grid[k]), float(grid[k + 1]))
    z = PROCESS.prior((80_000, LENGTH))
    tokens = ancestral(network, PROCESS, z, grid)
    assert (tokens < SIZE).all()
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


def test_a_network_that_is_sure_of_the_mask_leaves_none_all_the_same():
    network = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=33)
    network.outputs[..., SIZE] = 500.0
    z = torch.full((60_000, LENGTH), SIZE)
    before = ancestral(network, PROCESS, z, times(1.0, 0.5))
    assert (before == SIZE).all()
    row = kernel(TableNetwork(SIZE, LENGTH, SIZE + 1, seed=33).law(), 0.5, 0.0)[-1]
    tokens = ancestral(network, PROCESS, z, times(0.5, 0.0))
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), row)


SHAPES_OF_P = {
    "temperature": LogitsWarper(temperature=0.5),
    "min_p": LogitsWarper(min_p=0.4),
    "both": LogitsWarper(temperature=2.0, min_p=0.3),
}


def bent(law, warper):
    """p^(1 / temperature), then without what is below min_p of the largest."""
    p = law ** (1 / warper.temperature)
    p = np.where(p < warper.min_p * p.max(-1, keepdims=True), 0.0, p)
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", SHAPES_OF_P)
@pytest.mark.parametrize(("t", "s"), [(0.7, 0.3), (0.3, 0.0)])
def test_shaping_bends_the_prediction_before_the_posterior_is_taken(name, t, s):
    """The coin and the draw alike: a mask that min_p drops cannot keep a position masked."""
    warper = SHAPES_OF_P[name]
    network = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=34, warper=warper)
    law = network.law()
    if s == 0:  # the mask is left out first, then the likeliest token is the measure
        law[..., SIZE] = 0
    expected = kernel(bent(law, warper), t, s)
    assert follows(ancestral, network, PROCESS, (3, 3), times(t, s), expected)


@pytest.mark.parametrize(
    ("schedule", "text"), [("uniform log-linear closed", (1, 0)), ("hybrid 0.6", (1, SIZE))]
)
def test_shaping_under_uniform_noise_bends_the_chance_to_stay_too(schedule, text):
    warper = LogitsWarper(temperature=0.6, min_p=0.2)
    process, levels = Process(SCHEDULES[schedule], SIZE), brute_force.LEVELS[schedule]
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=35, warper=warper)
    law = bent(network.law(), warper)
    expected = brute_force.product_kernel(
        lambda row, position, z: brute_force.posterior(
            law[row, position], z, levels(0.7), levels(0.3)
        ),
        SIZE,
        LENGTH,
    )
    assert follows(ancestral, network, process, text, times(0.7, 0.3), expected)
