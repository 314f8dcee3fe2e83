"""Draws are right to the tail: tokens of 1e-9 in a vocabulary of 50,000 come at their rate, at any
precision of the logits, where the float32 race of older code loses them."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from diffusion.categorical import draw, draw_weighted
from samplers.race import clock, race
from tests.diffusion import brute_force

BELOW_ONE = 1 - 2**-53
DTYPES = [torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(110)


def two_level(size, tail, rare):
    """(N,) log p: `tail` tokens of probability `rare` behind a head that shares the rest evenly."""
    head = (1 - tail * rare) / (size - tail)
    return torch.cat([torch.full((size - tail,), head), torch.full((tail,), rare)]).double().log()


def exact(logits):
    law = logits.double().softmax(-1).numpy()
    return law / law.sum()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [50_000, 256_000])
def test_tokens_of_1e_minus_9_own_their_share_of_the_random_numbers(dtype, size):
    """40,000 of them hold 4e-5; where their interval begins, by bisection, to 1e-6 of it."""
    logits = two_level(size, 40_000, 1e-9).to(dtype)
    low, high = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for _ in range(53):
        middle = (low + high) / 2
        rare = draw(logits.unsqueeze(0), middle.clamp_max(BELOW_ONE)) >= size - 40_000
        low, high = torch.where(rare, low, middle), torch.where(rare, middle, high)
    share = exact(logits)[size - 40_000 :].sum()
    assert share == pytest.approx(4e-5, rel=0.1 if dtype == torch.bfloat16 else 1e-5)
    assert float(1 - high) == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tokens_of_1e_minus_9_come_at_equal_rates(dtype):
    """Random numbers from their interval, as one in 25,000 is: every token of it is as likely."""
    logits = two_level(50_000, 40_000, 1e-9).to(dtype)
    begin = exact(logits)[:10_000].sum()
    uniform = begin + (1 - begin) * torch.rand(1_600, dtype=torch.float64)
    drawn = torch.cat([draw(logits.expand(len(u), -1), u) for u in uniform.split(40)])
    assert (drawn >= 10_000 - 1).all()  # the border itself may be one number off
    counts = np.bincount((drawn - 10_000).clamp_min(0) // 2_000, minlength=20)
    assert brute_force.agrees(counts, np.full(20, 1 / 20))


def test_rare_tokens_and_the_entropy_of_draws_are_right():
    """20,000 draws: 20 of them are expected among tokens of 2e-8 each."""
    log_p, count = two_level(50_000, 49_936, 2e-8), 20_000
    weights, p = log_p.exp().float().expand(40, -1), log_p.exp()
    drawn = torch.cat([draw_weighted(weights) for _ in range(count // 40)])
    rare, mean = int((drawn >= 64).sum()), float(p[64:].sum()) * count
    assert min(stats.poisson.cdf(rare, mean), stats.poisson.sf(rare - 1, mean)) > 1e-3
    entropy = float(-(p * log_p).sum())
    error = math.sqrt((float((p * log_p**2).sum()) - entropy**2) / count)
    assert abs(float(-log_p[drawn].mean()) - entropy) < 3.3 * error


def chance_in_the_race(p):
    """That a token of probability p beats one of 1 - p, over all the numbers that there are."""
    numbers = torch.arange(2**24, dtype=torch.float32) / 2**24
    rival = (1 - p) / clock(numbers)  # rising
    own = p / clock(numbers[-(2**16) :])  # further down it has no chance
    return float(torch.searchsorted(rival, own).double().sum()) / 2**48


def test_the_float32_race_loses_what_is_rare():
    """Exactly, by all pairs of numbers: a sixth of the tokens of 2e-8 is left, none of 1e-9."""
    assert chance_in_the_race(1e-5) == pytest.approx(1e-5, rel=0.01)
    assert chance_in_the_race(1e-6) == pytest.approx(1e-6, rel=0.04)
    assert 0.1 * 2e-8 < chance_in_the_race(2e-8) < 0.2 * 2e-8
    assert chance_in_the_race(1e-9) == 0


def test_a_token_of_1e_minus_9_loses_the_race_at_the_best_of_its_numbers(monkeypatch):
    """It should win once in 1e9 times against a certain token; the largest u below 1 is not near
    enough to 1 for it, when its rival's is not extreme too."""
    numbers = torch.tensor([[0.5, 1 - 2**-24]])
    monkeypatch.setattr(torch, "rand", lambda *shape, **how: numbers)
    assert int(race(torch.tensor([[1 - 1e-9, 1e-9]]))) == 0
    assert int(race(torch.tensor([[1 - 1e-6, 1e-6]]))) == 1
