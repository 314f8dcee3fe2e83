"""Clipped noise levels: resampling against redrawing, the search against a plain variance."""

import math

import numpy as np
import pytest
import torch

from algos.clip import ClipSearch, clips, coins_within
from tests.algos.configured import a_batch, build


@pytest.mark.parametrize("clip", [(0.3, 0.8), (0.001, 0.5), (0.45, 1.0)])
def test_resampling_has_the_law_of_redrawing(clip: tuple[float, float]) -> None:
    """Frequencies of the sets of noise tokens of a block of three, and of one whose first is given,
    against the chances of those that are allowed."""
    count, n = 40_000, 3
    torch.manual_seed(1)
    for given in (0, 1):
        keep = torch.full((count, n), 0.4, dtype=torch.float64)
        noised = torch.ones(count, n, dtype=torch.bool)
        noised[:, :given] = False
        coin, lot = torch.rand(2, count, n, dtype=torch.float64)
        made = coins_within(coin, keep, noised, lot, n, clip)
        assert made.min() >= 0 and made.max() < 1
        lost = (made >= keep) & noised
        low = 0 if clip[0] <= 0.001 else clip[0]
        chances = {}
        for code in range(2**n):
            where = [bool(code >> place & 1) for place in range(n)]
            free, k = n - given, sum(where)
            if any(where[:given]) or not low * free <= k <= clip[1] * free:
                continue
            chances[code] = 0.6**k * 0.4 ** (free - k)
        total = sum(chances.values())
        found = (lost.long() * 2 ** torch.arange(n)).sum(-1).bincount(minlength=2**n)
        assert int(found.sum()) == int(sum(found[code] for code in chances))
        for code, chance in chances.items():
            share = chance / total
            error = math.sqrt(count * share * (1 - share))
            assert abs(int(found[code]) - count * share) <= 4 * error


def test_a_block_in_which_no_share_is_allowed_is_drawn_freely() -> None:
    keep = torch.full((2000, 2), 0.5, dtype=torch.float64)
    noised = torch.tensor([False, True]).expand(2000, 2)
    coin, lot = torch.rand(2, 2000, 2, dtype=torch.float64)
    made = coins_within(coin, keep, noised, lot, 2, (0.3, 0.8))
    assert 900 < int((made >= keep)[:, 1].sum()) < 1100


def test_search_finds_the_smallest_variance() -> None:
    """Losses whose spread is least between 0.3 and 0.8: by times of another density, with their
    weights, as by uniform ones."""
    rng = np.random.default_rng(2)
    t = rng.random(200_000) ** 2  # density 1 / (2 sqrt t)
    spread = np.where((t > 0.3) & (t < 0.8), 0.1, 3.0)
    loss = torch.from_numpy(1 + spread * rng.standard_normal(len(t)))
    search = ClipSearch(torch.device("cpu"))
    nats = torch.stack([2 * loss, torch.full_like(loss, 77.0)], -1)  # the second is not scored
    scored = torch.tensor([True, False]).expand(len(t), 1, 2)
    times = torch.from_numpy(t).view(-1, 1, 1).expand(-1, 1, 2)
    search.add(nats.unsqueeze(1) / 2, scored, times, 2 * times.sqrt())
    low, high = search.best(search.sums)
    assert (low, high) == (pytest.approx(0.3), pytest.approx(0.8))
    uniform = torch.rand(400_000, dtype=torch.float64)
    plain = {}
    for number, (start, stop) in enumerate(clips()):
        inside = uniform[(uniform > start) & (uniform < stop)]
        total, first, second = search.sums[number]
        share = ((inside > 0.3) & (inside < 0.8)).double().mean()
        plain[start, stop] = float(share * 0.01 + (1 - share) * 9)
        assert float(second / total - (first / total) ** 2) == pytest.approx(
            plain[start, stop], rel=0.05, abs=0.02
        )


def test_training_draws_within_the_clip_and_reports_over_all_of_time() -> None:
    own = {"sampling_eps_min": 0.4, "sampling_eps_max": 0.7, "block_size": 5}
    algorithm, batch = build("bd3lm", 5, 10, **own), a_batch(length=10)
    batch["noised"][:] = True
    noised = algorithm.clipped_noise(batch)
    assert noised.t.min() >= 0.4 and noised.t.max() <= 0.7
    masked = (noised.z == algorithm.process.mask).unflatten(1, (2, 5)).sum(-1)
    assert set(masked.flatten().tolist()) <= {2, 3}
    halves = [{k: v[rows] for k, v in batch.items()} for rows in (slice(4), slice(4, 8))]
    again = torch.cat([algorithm.clipped_noise(half).z for half in halves])
    assert torch.equal(again, noised.z)
    t = algorithm.evaluation_noise(a_batch(size=500, length=10)).t
    assert t.min() < 0.05 and t.max() > 0.95
    full = build("bd3lm", 5, 10, block_size=5)
    assert torch.equal(algorithm.evaluation_noise(batch).z, full.evaluation_noise(batch).z)


def test_the_clip_that_was_found_is_that_of_a_run_that_goes_on() -> None:
    algorithm, checkpoint = build("bd3lm", clip_search=True), {}
    algorithm.sampling_eps = (0.25, 0.1)
    algorithm.on_save_checkpoint(checkpoint)
    other = build("bd3lm", clip_search=True)
    other.on_load_checkpoint(checkpoint)
    assert other.clip == (0.25, 0.9)
    assert other.training_facts() == {"clip": {"low": 0.25, "high": 0.9}}
    other.on_load_checkpoint({})  # of an imported model
    assert other.clip == (0.25, 0.9)
