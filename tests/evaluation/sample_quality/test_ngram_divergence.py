"""The distance between generated and held-out text, on a language whose chains are known."""

import numpy as np
import pytest

from evaluation.sample_quality import naive_baselines
from evaluation.sample_quality.ngram_divergence import distance

SYMBOLS, LENGTH = 12, 48


def language(order: int) -> np.ndarray:
    """p(next | last `order` symbols), sparse enough that shorter contexts lose much."""
    generator = np.random.default_rng(7)
    return generator.dirichlet(np.full(SYMBOLS, 0.15), size=(SYMBOLS,) * order)


def texts(p: np.ndarray, count: int, seed: int) -> list[list[int]]:
    generator, order = np.random.default_rng(seed), p.ndim - 1
    rows = generator.integers(SYMBOLS, size=(count, LENGTH + 20))
    cumulative = p.cumsum(-1)
    for place in range(order, rows.shape[1]):
        context = tuple(rows[:, place - back] for back in range(order, 0, -1))
        rows[:, place] = (generator.random((count, 1)) > cumulative[context]).sum(-1)
    return np.minimum(rows[:, 20:], SYMBOLS - 1).tolist()


def test_ngram_divergence_equal_distributions_are_zero_within_intervals_of_the_right_width():
    p = language(2)
    found = [distance(texts(p, 40, 2 * s), texts(p, 40, 2 * s + 1), s) for s in range(40)]
    values = np.array([one.divergence.value for one in found])
    errors = np.array([one.divergence.stderr for one in found])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(40)
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    held = [one.divergence.low <= 0 <= one.divergence.high for one in found]
    assert np.mean(held) >= 0.85
    told = [one.two_sample_accuracy.value for one in found]
    assert np.mean(told) == pytest.approx(0.5, abs=0.05)


def test_ngram_divergence_different_distributions_have_intervals_of_the_right_width():
    """A pair moves the models as it moves its own score: the error is no smaller for it."""
    p = language(1)
    other = 0.8 * p + 0.2 * np.roll(p, 1, axis=-1)
    found = [distance(texts(other, 24, 2 * s), texts(p, 24, 2 * s + 1), s) for s in range(80)]
    values = np.array([one.divergence.value for one in found])
    errors = np.array([one.divergence.stderr for one in found])
    assert np.all(values > 2 * errors)
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)
    mean = values.mean()  # of sets of this size, which see less than larger ones
    assert np.mean([one.divergence.low <= mean <= one.divergence.high for one in found]) >= 0.88


def test_ngram_divergence_it_is_half_the_jeffreys_divergence_of_two_known_unigram_languages():
    p, q = np.random.default_rng(0).dirichlet(np.full(SYMBOLS, 2.0), size=2)
    generator = np.random.default_rng(1)
    sets = [generator.choice(SYMBOLS, size=(400, LENGTH), p=one).tolist() for one in (p, q)]
    exact = 0.5 * float(((p - q) * np.log(p / q)).sum())
    found = distance(*sets, seed=0).divergence
    assert found.value == pytest.approx(exact, rel=0.1)
    assert found.value < exact + 4 * found.stderr  # from below


def test_ngram_divergence_accuracy_of_sets_told_apart_every_time_is_not_certain():
    other = np.roll(language(2), 1, axis=-1)
    found = distance(texts(language(2), 16, 1), texts(other, 16, 2), 0)
    assert found is not None
    accuracy = found.two_sample_accuracy
    assert accuracy.value == accuracy.high == 1
    # Wilson's for 8 of 8: z^2 / (8 + z^2) below 1.
    assert accuracy.low == pytest.approx(8 / (8 + 1.96**2))
    assert accuracy.stderr == pytest.approx((1 - accuracy.low) / (2 * 1.96))


def test_ngram_divergence_exchanging_the_sets_changes_nothing():
    p = language(2)
    made = naive_baselines.chain(texts(p, 300, 3), 1, texts(p, 50, 4), 1, 1.0, 0)
    real = texts(p, 50, 5)
    one, other = distance(made, real, 0).divergence, distance(real, made, 0).divergence
    assert one.value == pytest.approx(other.value, rel=1e-9)


def naive_texts() -> dict[str, list[list[int]]]:
    p = language(3)
    training, like = texts(p, 1500, 1), texts(p, 200, 2)
    return {
        "unigram": naive_baselines.chain(training, 1, like, 0, 1.0, 1),
        "bigram": naive_baselines.chain(training, 2, like, 0, 1.0, 2),
        "trigram": naive_baselines.chain(training, 3, like, 0, 1.0, 3),
        "cool": naive_baselines.chain(training, 4, like, 0, 0.5, 4),
        "shuffled": naive_baselines.shuffled(like, 0, 5),
        "one text": naive_baselines.one_text(like),
        "phrases": naive_baselines.phrases(like, 0),
    }


def test_ngram_divergence_trivial_baselines_are_far_and_longer_chains_are_nearer():
    held_out = texts(language(3), 200, 9)
    real = distance(texts(language(3), 200, 10), held_out, 0).divergence
    assert real.low <= 0 <= real.high
    found = {name: distance(made, held_out, 0) for name, made in naive_texts().items()}
    for name, one in found.items():
        assert one.divergence.low > real.high, name
        assert one.two_sample_accuracy.low > 0.6, name
    near = [found[name].divergence.value for name in ("unigram", "bigram", "trigram")]
    assert near[0] > near[1] > near[2]


def test_ngram_divergence_too_few_texts_have_no_distance_and_uneven_lengths_do():
    row = list(range(10))
    assert distance([row] * 3, [row] * 9, 0) is None
    assert distance([row, [], row, [], row], [row] * 5, 0) is None
    uneven = [row[: 3 + n] for n in range(6)]
    assert distance(uneven, [row] * 6, 0).divergence.value == pytest.approx(0.0, abs=0.2)


def test_ngram_divergence_texts_shorter_than_its_n_grams_are_compared_too() -> None:
    """Drawn gaps may have a few tokens only."""
    rng = np.random.default_rng(3)
    some, other = (rng.integers(0, 4, (40, 2)).tolist() for _ in range(2))
    found = distance(some, other, 1)
    assert found is not None and np.isfinite(found.divergence.value)
