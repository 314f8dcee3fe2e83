"""The greedy tail: one argmax more, at the last time of the grid."""

from functools import partial

import pytest
import torch

from diffusion.process import Process
from diffusion.schedule import absorbing
from diffusion.shaping import Shaping
from samplers.ancestral import ancestral, uniform_grid
from samplers.greedy import greedy_tail
from tests.diffusion.cases import SCHEDULES, SHAPES
from tests.samplers.exact_network import codes
from tests.samplers.table_network import TableNetwork

SIZE, LENGTH = 3, 3
NAMES = ["absorbing cosine closed", "uniform log-linear closed", "hybrid 0.1"]


def kept(denoise, process, z, grid, clamp=None):
    """A sampler that does nothing."""
    return z


def every_text():
    return torch.cartesian_prod(*[torch.arange(SIZE + 1)] * LENGTH)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_argmax_wherever_a_token_may_be_noise(name):
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=50)
    process, z = Process(SCHEDULES[name], SIZE), every_text()
    likeliest = network.outputs.argmax(-1)
    expected = likeliest
    if name.startswith("absorbing"):  # a token is certain
        expected = torch.where(z == SIZE, likeliest, z)
    tokens = greedy_tail(network, process, z, uniform_grid(4, end=1e-5), kept)
    assert torch.equal(tokens, expected)
    assert network.calls == [1e-5]


def test_a_mask_among_the_outputs_is_never_the_choice():
    alpha = SHAPES["log-linear closed"]
    process = Process(partial(absorbing, alpha=alpha), SIZE, predicts_mask=True)
    network, z = TableNetwork(SIZE, LENGTH, SIZE + 1, seed=51), every_text()
    assert (network.outputs.argmax(-1) == SIZE).any()
    tokens = greedy_tail(network, process, z, uniform_grid(4, end=1e-5), kept)
    expected = torch.where(z == SIZE, network.outputs[..., :SIZE].argmax(-1), z)
    assert torch.equal(tokens, expected)


@pytest.mark.parametrize("name", NAMES)
def test_given_tokens_stay_and_shaping_changes_nothing(name):
    process, z = Process(SCHEDULES[name], SIZE), every_text()

    def clamp(tokens):
        return torch.cat([torch.full_like(tokens[:, :1], 1), tokens[:, 1:]], 1)

    made = [
        greedy_tail(
            TableNetwork(SIZE, LENGTH, SIZE, seed=52, shaping=shaping),
            process,
            clamp(z),
            uniform_grid(2, end=1e-5),
            kept,
            clamp,
        )
        for shaping in (Shaping(), Shaping(temperature=0.3, min_p=0.5))
    ]
    assert torch.equal(*made) and (made[0][:, 0] == 1).all() and (made[0] < SIZE).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_follows_a_sampler_that_ends_above_zero(name):
    """The argmax is of the text that the sampler left, whose generator it does not touch."""
    network, process = TableNetwork(SIZE, LENGTH, SIZE, seed=53), Process(SCHEDULES[name], SIZE)
    grid, z = uniform_grid(3, end=0.2), process.prior((400, LENGTH))
    torch.manual_seed(54)
    before = ancestral(network, process, z, grid)
    torch.manual_seed(54)
    after = greedy_tail(network, process, z, grid, ancestral)
    likeliest = network.outputs[codes(before, SIZE + 1)].argmax(-1)
    stays = (before != SIZE) & (not process.has_noise)
    assert torch.equal(after, torch.where(stays, before, likeliest))
    assert (before == SIZE).any() or name.startswith("uniform")
