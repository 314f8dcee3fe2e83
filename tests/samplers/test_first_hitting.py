"""First-hitting sampling against the law of continuous time by enumeration."""

import numpy as np
import pytest
import torch
from scipy import stats

from diffusion.prediction import Prediction
from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.first_hitting import first_hitting
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, SHAPES
from tests.samplers.exact_network import ExactNetwork, codes
from tests.samplers.table_network import TableNetwork, counts_of

SIZE, LENGTH = 3, 3
NAMES = ["absorbing log-linear", "absorbing cosine closed", "absorbing geometric closed"]
every_noise = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(80)


def process_of(name):
    return Process(SCHEDULES[name], SIZE)


class Watched:
    """A table network for texts with clocks of their own; what it was shown, call by call."""

    def __init__(self, seed):
        self.table = TableNetwork(SIZE, LENGTH, SIZE, seed=seed, spread=2.0)
        self.times, self.rows = [], []

    def __call__(self, z, t, rows):
        assert t.shape == rows.shape == (len(z),)
        self.times.append(t)
        self.rows.append(rows)
        return Prediction(self.table.head, self.table.outputs[codes(z, SIZE + 1)])


def reached(laws, text):
    """(S^L,) law of the finished texts: any mask is the next with the same chance."""
    masks = [position for position, z in enumerate(text) if z == SIZE]
    number = int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))
    if not masks:
        return np.eye((SIZE + 1) ** LENGTH)[number]
    law = np.zeros((SIZE + 1) ** LENGTH)
    for position in masks:
        for token in range(SIZE):
            after = (*text[:position], token, *text[position + 1 :])
            law += laws[number, position, token] / len(masks) * reached(laws, after)
    return law


@pytest.mark.parametrize("text", [(3, 3, 3), (3, 1, 3), (2, 3, 0)])
def test_texts_of_any_network_follow_the_orders_of_unmasking(text):
    """Each order has the same chance, each token the one that the network gives it by then."""
    network, z = Watched(81), torch.tensor(text).repeat(60_000, 1)
    tokens = first_hitting(network, process_of(NAMES[0]), z)
    law = reached(network.table.law(), text)
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


@every_noise
def test_texts_of_a_perfect_network_follow_the_language(name):
    language = brute_force.random_language(SIZE, LENGTH, seed=82)
    process = process_of(name)
    network = ExactNetwork(language, process)
    tokens = first_hitting(network, process, process.prior((60_000, LENGTH)))
    counts = np.bincount(codes(tokens, SIZE), minlength=language.size)
    assert brute_force.agrees(counts, language.flatten())
    assert len(network.calls) == LENGTH


def test_every_text_is_shown_once_for_every_mask_it_has():
    """Texts of unequal numbers of masks in one batch; finished ones are shown no more."""
    network = Watched(83)
    z = torch.tensor([[3, 3, 3], [0, 1, 2], [3, 2, 3], [1, 3, 1]])
    tokens = first_hitting(network, process_of(NAMES[0]), z)
    assert torch.cat(network.rows).bincount(minlength=4).tolist() == [3, 0, 2, 1]
    assert [len(rows) for rows in network.rows] == [3, 2, 1]
    assert (tokens < SIZE).all() and torch.equal(tokens[z < SIZE], z[z < SIZE])
    assert (z == SIZE).any()  # the given tokens are not changed in place


@every_noise
def test_the_times_are_those_at_which_masks_go_one_by_one(name):
    """Mask masses at the draws are n sorted uniform numbers, whatever the schedule."""
    network, process, count = Watched(84), process_of(name), 4_000
    first_hitting(network, process, process.prior((count, LENGTH)))
    mass = torch.stack([process.schedule(t).mask[:, 0] for t in network.times])
    mass = mass / process.schedule(torch.ones(1).double()).mask
    assert (mass.diff(dim=0) < 0).all()
    for place in range(LENGTH):  # the largest first
        law = stats.beta(LENGTH - place, place + 1)
        assert stats.kstest(mass[place].numpy(), law.cdf).pvalue > 1e-4


def test_clamped_positions_stay_and_are_never_drawn():
    network, process = Watched(85), process_of(NAMES[0])

    def clamp(z):
        return torch.cat([torch.full_like(z[:, :1], 2), z[:, 1:]], 1)

    tokens = first_hitting(network, process, process.prior((60_000, LENGTH)), clamp=clamp)
    assert len(network.rows) == LENGTH - 1
    law = reached(network.table.law(), (2, SIZE, SIZE))
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


def test_noise_that_is_not_all_masks_is_refused():
    asked = Process(Absorbing(SHAPES["log-linear closed"]), SIZE, predicts_mask=True)
    for process in (Process(SCHEDULES["hybrid 0.1"], SIZE), asked):
        with pytest.raises(ValueError, match=r"sampling\.predictor=first_hitting: only for noise"):
            first_hitting(Watched(86), process, process.prior((2, LENGTH)))
