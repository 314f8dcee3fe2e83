"""Losses of texts against a known language: true texts nothing, others what theory says."""

import numpy as np
import pytest
import torch

from data.markov import MarkovLanguage
from evaluation.oracle.losses import NATS, excess_nats, floor, foreign, losses, text_entropy
from evaluation.oracle.ngrams import distances, grams
from tests.algos.knowing import texts as all_texts
from tests.data.kinds import entropy_rate

COUNT, LENGTH = 200, 40


@pytest.fixture(scope="module")
def language() -> MarkovLanguage:
    return MarkovLanguage(5, 1, 0, 0.5)


def law(language: MarkovLanguage, length: int) -> np.ndarray:
    every = torch.from_numpy(all_texts(language.states, length))
    return (-language.nll(every).sum(1)).exp().numpy()


@pytest.mark.parametrize(("order", "length"), [(1, 1), (1, 4), (2, 1), (2, 2), (2, 5), (3, 5)])
def test_oracle_losses_the_entropy_of_texts_is_that_of_all_of_them(order: int, length: int) -> None:
    language = MarkovLanguage(3, order, 0, 0.5)
    p = law(language, length)
    assert text_entropy(language, length) == pytest.approx(-float(p @ np.log(p)), rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_oracle_losses_independent_texts_come_at_their_rates(order: int) -> None:
    language, count = MarkovLanguage(3, order, 0, 0.5), 20_000
    drawn = language.texts(count, 4, np.random.default_rng(2))
    number = drawn @ 3 ** np.arange(3, -1, -1)
    p = law(language, 4)
    seen = np.bincount(number, minlength=81)
    square = ((seen - count * p) ** 2 / (count * p)).sum()
    assert abs(square - 80) < 4 * np.sqrt(2 * 80) + 20  # rare texts have heavier tails


@pytest.mark.parametrize("n", [1, 2, 3])
def test_oracle_losses_distances_are_those_of_full_tables(language: MarkovLanguage, n: int) -> None:
    drawn = language.texts(50, 12, np.random.default_rng(3))
    drawn[:, ::4] = 2
    q = law(language, n)
    windows = np.lib.stride_tricks.sliding_window_view(drawn, n, axis=1).reshape(-1, n)
    p = np.bincount(windows @ 5 ** np.arange(n - 1, -1, -1), minlength=5**n) / len(windows)
    found = distances(drawn, language, [n])
    assert found[f"tv_{n}"].value == pytest.approx(abs(p - q).sum() / 2, rel=1e-9)
    seen = p > 0
    kl = float((p[seen] * np.log(p[seen] / q[seen])).sum())
    assert found[f"kl_{n}"].value == pytest.approx(kl, rel=1e-9)
    marginal = np.stack([(drawn == symbol).mean(0) for symbol in range(5)], 1)
    places = abs(marginal - law(language, 1)).sum(1).mean() / 2
    assert found["tv_places"].value == pytest.approx(places, rel=1e-9)


def test_oracle_losses_true_texts_lose_nothing_and_their_errors_hold(
    language: MarkovLanguage,
) -> None:
    rng = np.random.default_rng(4)
    true, within, sides = floor(language, COUNT, LENGTH, rng), [], []
    for _ in range(60):
        found = losses(language.texts(COUNT, LENGTH, rng), language, true)
        within.append([abs(loss.excess) < 2 * loss.stderr for loss in found.values()])
        sides.append([loss.excess / loss.stderr for loss in found.values()])
    assert np.mean(within, axis=0).min() > 0.88  # 0.95 of 60
    assert abs(np.mean(sides, axis=0)).max() < 0.6


def test_oracle_losses_texts_of_independent_symbols_lose_the_mutual_information(
    language: MarkovLanguage,
) -> None:
    """Their 2-grams are pi x pi: the KL and the total variation from pi T are known, and so are
    their nats."""
    rng = np.random.default_rng(5)
    pi, chain = language.stationary, language.transition
    drawn = rng.choice(5, size=(COUNT, LENGTH), p=pi)
    true = floor(language, COUNT, LENGTH, rng)
    found = losses(drawn, language, true)
    joint = np.outer(pi, pi)
    kl = float((joint * np.log(pi / chain)).sum())
    nats = (kl * (LENGTH - 1) + (LENGTH - 1) * (-pi @ np.log(pi) - entropy_rate(language))) / LENGTH
    tv = float(np.abs(joint - pi[:, None] * chain).sum() / 2)
    for name, expected in (("kl_2", kl), (NATS, nats), ("tv_2", tv), ("kl_1", 0), ("tv_1", 0)):
        assert abs(found[name].excess - expected) < 4 * found[name].stderr + true.mean.get(name, 0)
    for name in ("kl_2", "tv_2", "kl_3", "tv_3", NATS):
        assert found[name].excess > 8 * found[name].stderr


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_oracle_losses_a_few_wrong_symbols_show(language: MarkovLanguage, share: float) -> None:
    rng = np.random.default_rng(6)
    drawn = language.texts(COUNT, LENGTH, rng)
    wrong = rng.random(drawn.shape) < share
    drawn = np.where(wrong, rng.integers(5, size=drawn.shape), drawn)
    found = losses(drawn, language, floor(language, COUNT, LENGTH, rng))
    assert found[NATS].excess > 3 * found[NATS].stderr
    assert found["kl_2"].excess > 3 * found["kl_2"].stderr


def test_oracle_losses_texts_that_are_too_likely_have_fewer_nats_but_are_far(
    language: MarkovLanguage,
) -> None:
    """The likeliest successors only: judged by nats alone they would be better than the truth."""
    rng = np.random.default_rng(7)
    drawn = language.texts(COUNT, LENGTH, rng)
    for place in range(1, LENGTH):
        drawn[:, place] = language.transition.argmax(1)[drawn[:, place - 1]]
    found = losses(drawn, language, floor(language, COUNT, LENGTH, rng))
    assert found[NATS].excess < -3 * found[NATS].stderr
    assert found["tv_2"].excess > 8 * found["tv_2"].stderr


def test_oracle_losses_few_texts_are_compared_whole(language: MarkovLanguage) -> None:
    rng = np.random.default_rng(8)
    true = floor(language, 1000, 4, rng)
    found = losses(language.texts(1000, 4, rng), language, true)
    assert abs(found["tv_4"].excess) < 3 * found["tv_4"].stderr
    assert "tv_40" not in floor(language, 10, 40, rng).mean
    # The end of a text does not know its beginning: nothing shorter than whole texts tells.
    cut = language.texts(1000, 4, rng)
    cut[:, 3] = np.roll(cut[:, 3], 1)
    assert losses(cut, language, true)["kl_4"].excess > 3 * found["kl_4"].stderr


def test_oracle_losses_tokens_that_are_no_symbols_count_as_distance_and_as_a_share(
    language: MarkovLanguage,
) -> None:
    rng = np.random.default_rng(9)
    drawn = language.texts(COUNT, LENGTH, rng)
    drawn[:, 5] = 5
    found = losses(drawn, language, floor(language, COUNT, LENGTH, rng))
    assert foreign(drawn, language) == pytest.approx(1 / LENGTH)
    assert found["tv_1"].measured > 0.9 / LENGTH
    assert all(np.isfinite(loss).all() for loss in found.values())
    assert not grams(drawn, 2, language).possible.all()


def test_oracle_losses_what_cannot_follow_costs_a_finite_number() -> None:
    language = MarkovLanguage(3, 1, 0, 0.5)
    language.transition[:] = np.eye(3)[[1, 2, 0]]
    drawn = np.tile([0, 1, 1], (4, 2))
    assert np.isfinite(excess_nats(drawn, language)).all()
    assert np.isfinite(distances(drawn, language, [2])["kl_2"].value)


def test_oracle_losses_a_floor_of_other_texts_is_refused(language: MarkovLanguage) -> None:
    rng = np.random.default_rng(1)
    true = floor(language, 10, 5, rng)
    with pytest.raises(ValueError, match="the floor is of"):
        losses(language.texts(10, 6, rng), language, true)
