"""How texts end: one argmax more, at the last time of the grid, or nothing."""

from functools import partial

import pytest
import torch

from diffusion.logits_warper import LogitsWarper
from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.ancestral import ancestral
from samplers.greedy import with_tail
from samplers.grids import uniform_grid
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, SHAPES
from tests.samplers.exact_network import codes
from tests.samplers.table_network import TableNetwork

SIZE, LENGTH = 3, 3
greedy_tail = partial(with_tail, tail="greedy")
greedy_posterior_tail = partial(with_tail, tail="greedy-posterior")
no_tail = partial(with_tail, tail="none")
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
    process = Process(Absorbing(alpha), SIZE, predicts_mask=True)
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
            TableNetwork(SIZE, LENGTH, SIZE, seed=52, warper=warper),
            process,
            clamp(z),
            uniform_grid(2, end=1e-5),
            kept,
            clamp=clamp,
        )
        for warper in (LogitsWarper(), LogitsWarper(temperature=0.3, min_p=0.5))
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


def posterior_best(law, name, t):
    """(S^L, L) argmax q(z_0 | z_t, p) by Bayes over all states."""
    level, clean = brute_force.LEVELS[name](t), (1.0, 0.0, 0.0)
    return torch.tensor(
        [
            [
                brute_force.posterior(p, int(z), level, clean).argmax()
                for p, z in zip(row, text, strict=True)
            ]
            for row, text in zip(law, every_text(), strict=True)
        ]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("t", [0.6, 0.3, 1e-5])
def test_the_papers_tail_is_the_likeliest_text_by_bayes(name, t):
    """It revises tokens at a high level, and none of them at the published one."""
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=55, spread=2.0)
    process, z, grid = Process(SCHEDULES[name], SIZE), every_text(), uniform_grid(4, end=t)
    if name.startswith("uniform"):
        z = z[(z < SIZE).all(-1)]
    tokens = greedy_posterior_tail(network, process, z, grid, kept)
    best = posterior_best(network.law(), name, t)[codes(z, SIZE + 1)]
    assert torch.equal(tokens, best)
    assert process.has_noise == bool(((tokens != z) & (z < SIZE)).any()) or t < 0.1
    if t < 0.1 and not name.startswith("hybrid"):  # whose noise begins as a square root
        assert torch.equal(tokens[z < SIZE], z[z < SIZE])


def test_the_two_greedy_tails_differ_as_known():
    """At the published time the code's tail takes the likeliest token, the paper's what stands."""
    name = "uniform log-linear closed"
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=56)
    process, z = Process(SCHEDULES[name], SIZE), torch.randint(SIZE, (500, LENGTH))
    grid = uniform_grid(4, end=1e-5)
    code = greedy_tail(network, process, z, grid, kept)
    paper = greedy_posterior_tail(network, process, z, grid, kept)
    assert (code != z).double().mean() > 0.5 and torch.equal(paper, z)


def test_shaping_bends_the_papers_posterior():
    """A colder prediction revises what a warm one leaves."""
    name, t = "uniform log-linear closed", 0.5
    warper = LogitsWarper(temperature=0.5)
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=57, warper=warper)
    law = network.law() ** 2
    z = every_text()[(every_text() < SIZE).all(-1)]
    process = Process(SCHEDULES[name], SIZE)
    tokens = greedy_posterior_tail(network, process, z, uniform_grid(2, end=t), kept)
    bent = posterior_best(law / law.sum(-1, keepdims=True), name, t)[codes(z, SIZE + 1)]
    assert torch.equal(tokens, bent)
    assert not torch.equal(tokens, posterior_best(network.law(), name, t)[codes(z, SIZE + 1)])


@pytest.mark.parametrize("name", NAMES)
def test_no_tail_leaves_the_noise_of_the_last_time(name):
    network, process = TableNetwork(SIZE, LENGTH, SIZE, seed=58), Process(SCHEDULES[name], SIZE)
    z, grid = process.prior((500, LENGTH)), uniform_grid(2, end=0.5)
    torch.manual_seed(59)
    before = ancestral(network, process, z, grid)
    torch.manual_seed(59)
    assert torch.equal(no_tail(network, process, z, grid, ancestral), before)
    assert process.has_noise or (before == SIZE).any()


@pytest.mark.parametrize("name", ["greedy", "greedy-posterior"])
def test_texts_that_nothing_can_change_are_not_shown(name):
    process = Process(SCHEDULES["absorbing log-linear"], SIZE)
    network = ShowsRows(SIZE, LENGTH, SIZE, seed=60)
    z = torch.tensor([[0, 1, 2], [0, SIZE, 2], [2, 2, 2], [SIZE, SIZE, SIZE]])
    tokens = with_tail(network, process, z, uniform_grid(2, end=1e-5), kept, name)
    assert network.shown == [[1, 3]] and (tokens < SIZE).all()
    assert torch.equal(tokens[z < SIZE], z[z < SIZE])


class ShowsRows(TableNetwork):
    shown: list[list[int]]

    def __call__(self, z, t, rows):
        self.shown = [*getattr(self, "shown", []), rows.tolist()]
        return super().__call__(z, t, rows)
