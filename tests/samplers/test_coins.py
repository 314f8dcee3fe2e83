"""The coins of a step: each with its own chance, and how many fall together."""

import numpy as np
import pytest
import torch

from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.coins import COINS, Independent, Systematic
from samplers.kappa import Profile, psi
from samplers.score import analytic, euler
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times
from tests.samplers.exact_network import ExactPrediction
from tests.samplers.table_network import TableNetwork, counts_of

COUNT = 60_000
CHANCES = {
    "equal": [0.3] * 7,
    "unequal": [0.9, 0.1, 0.5, 0.02, 0.77, 0.31, 0.66],
    "with sure ones": [1.0, 0.0, 0.4, 0.4, 1.0, 0.15, 0.0],
}
every_chance = pytest.mark.parametrize("name", CHANCES)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(21)


def flipped(make, name):
    chance = torch.tensor(CHANCES[name], dtype=torch.float64).repeat(COUNT, 1)
    return make(chance.shape, chance.device), chance


@every_chance
@pytest.mark.parametrize("make", COINS.values(), ids=COINS)
def test_each_coin_falls_with_its_own_chance(make, name):
    coins, chance = flipped(make, name)
    for place, fallen in enumerate(coins(chance).T):
        count, p = int(fallen.sum()), CHANCES[name][place]
        assert brute_force.agrees(np.array([count, COUNT - count]), np.array([p, 1 - p]))


@every_chance
def test_systematic_coins_fall_within_one_of_their_mean(name):
    coins, chance = flipped(Systematic, name)
    count, mean = coins(chance).sum(-1), sum(CHANCES[name])
    assert set(count.tolist()) <= {int(mean), int(np.ceil(mean - 1e-9))}
    independent, _ = flipped(Independent, name)
    assert count.double().var() < independent(chance).sum(-1).double().var()


@every_chance
@pytest.mark.parametrize("make", COINS.values(), ids=COINS)
def test_uniforms_are_uniform_and_below_the_chance_where_coins_fall(make, name):
    coins, chance = flipped(make, name)
    uniform = coins.uniforms(chance)
    assert torch.equal(uniform < chance, coins(chance))
    for place in uniform.T:
        counts = torch.histc(place.float(), 20, 0, 1).long().numpy()
        assert brute_force.agrees(counts, np.full(20, 1 / 20))


def test_equal_chances_fall_as_numbers_spread_evenly_do():
    """In law: against u_l = ((r + pi(l)) / n) mod 1 of a random permutation, all patterns."""
    n, rho = 4, 0.4
    chance = torch.full((COUNT, n), rho, dtype=torch.float64)
    ours = Systematic(chance.shape, chance.device)(chance)
    rng = np.random.default_rng(3)
    law = np.zeros(2**n)
    for r in (np.arange(400) + 0.5) / 400:
        u = (r + np.arange(n)) / n % 1
        for _ in range(60):
            law[int((rng.permutation(u) < rho) @ 2 ** np.arange(n))] += 1 / 400 / 60
    pattern = (ours.long() * 2 ** torch.arange(n)).sum(-1).numpy()
    counts = np.bincount(pattern, minlength=2**n)
    assert np.abs(counts / COUNT - law).max() < 0.01
    assert ((counts > 0) == (law > 0)).all()


def test_no_rounding_leaves_a_sure_coin_standing():
    coins = Systematic((200, 1024), torch.device("cpu"))
    coins.offset[:] = 1 - 2**-53
    chance = torch.rand((200, 1024), dtype=torch.float64)
    chance[:, ::3], chance[:, 1::3] = 1.0, 0.0
    fallen = coins(chance)
    assert fallen[:, ::3].all() and not fallen[:, 1::3].any()


SIZE, LENGTH = 3, 3
SAMPLERS = {
    "ancestral": (ancestral, {}, ["absorbing log-linear", "uniform log-linear", "hybrid 0.6"]),
    "psi": (
        psi,
        {"profile": Profile("constant-eta", 0.4)},
        ["absorbing log-linear", "uniform log-linear", "hybrid 0.6"],
    ),
    "analytic": (analytic, {}, ["absorbing log-linear", "uniform log-linear"]),
    "euler": (euler, {}, ["absorbing log-linear", "uniform log-linear"]),
}


@pytest.mark.parametrize(
    ("sampler", "noise"), [(name, noise) for name in SAMPLERS for noise in SAMPLERS[name][2]]
)
def test_the_law_of_one_position_after_a_step_is_that_of_independent_coins(sampler, noise):
    """By two large samples; a text of one position is exactly the same law for both."""
    loop, options, _ = SAMPLERS[sampler]
    process = Process(SCHEDULES[noise], SIZE)
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=4)
    start = [1, 0, 2] if noise.startswith("uniform") else [3, 1 if noise[0] == "h" else 3, 3]
    z = torch.tensor(start).repeat(2 * COUNT, 1)
    laws = {}
    for name, make in COINS.items():
        reached = loop(network, process, z, times(0.7, 0.4), coins=make, **options)
        laws[name] = np.stack([np.bincount(place, minlength=SIZE + 1) for place in reached.T])
    total = 2 * COUNT
    for one, other in zip(*laws.values(), strict=True):
        pooled = (one + other) / 2 / total
        error = np.sqrt(2 * pooled * (1 - pooled) / total)
        assert (np.abs(one - other) / total <= 5 * error + 1e-12).all(), (one, other)


def test_the_number_of_masks_that_go_hardly_varies():
    length = 64
    process = Process(SCHEDULES["absorbing log-linear"], SIZE)

    class Flat:
        def __call__(self, z, t, rows=None):
            return ExactPrediction(torch.full((*z.shape, SIZE), 1 / SIZE, dtype=torch.float64))

    z = torch.full((2_000, length), SIZE)
    gone = {
        name: (ancestral(Flat(), process, z, times(0.7, 0.4), coins=make) != SIZE).sum(-1).double()
        for name, make in COINS.items()
    }
    assert gone["systematic"].mean() == pytest.approx(float(gone["independent"].mean()), rel=0.02)
    assert gone["systematic"].max() - gone["systematic"].min() <= 3
    assert gone["independent"].var() > 20 * gone["systematic"].var()


def test_texts_end_without_masks():
    process = Process(SCHEDULES["absorbing cosine closed"], SIZE)
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=4)
    z = process.prior((5_000, LENGTH))
    tokens = ancestral(network, process, z, times(1.0, 0.5, 0.0), coins=Systematic)
    assert (tokens < SIZE).all() and counts_of(tokens, SIZE + 1).sum() == 5_000
