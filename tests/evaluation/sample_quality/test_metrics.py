"""Numbers of a set of texts against slow definitions."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from evaluation.sample_quality.metrics import (
    distinct_n,
    distinct_without,
    repeated_shares,
    unigram_entropy,
)

ROWS = [np.random.default_rng(n).integers(0, 6, n).tolist() for n in (1, 3, 9, 17, 60)]


def ragged(seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 6, length) for length in (1, 3, 4, 17, 60, 200)]


def grams(row, n):
    return [tuple(row[at : at + n].tolist()) for at in range(len(row) - n + 1)]


def test_unigram_entropy_is_that_of_scipy():
    rows = ragged()
    expected = [entropy(list(Counter(row.tolist()).values())) for row in rows]
    assert unigram_entropy(rows) == pytest.approx(np.mean(expected), rel=1e-12)


def test_unigram_entropy_of_different_ids_is_the_log_of_the_length_and_of_one_id_zero():
    assert unigram_entropy(torch.arange(64).reshape(2, 32)) == pytest.approx(math.log(32))
    assert unigram_entropy(torch.full((3, 32), 50_257)) == 0.0


def test_unigram_entropy_of_an_empty_sequence_is_zero():
    assert unigram_entropy([[], [1, 2]]) == pytest.approx(math.log(2) / 2)
    assert unigram_entropy([[], []]) == 0.0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_n_is_that_of_a_set(n):
    rows = ragged()
    every = [gram for row in rows for gram in grams(row, n)]
    assert distinct_n(rows, n) == pytest.approx(len(set(every)) / len(every), rel=1e-14)


def test_distinct_n_has_no_ngram_across_sequences():
    assert distinct_n([[1, 2], [1, 2]], 2) == 0.5
    assert distinct_n([[1, 2], [3], [2, 1]], 2) == 1.0


def test_repeated_shares_are_those_of_a_loop():
    rows = ragged(1)
    shares = []
    for row in rows:
        seen, repeated = set(), 0
        for gram in grams(row, 4):
            repeated += gram in seen
            seen.add(gram)
        if len(row) >= 4:
            shares.append(repeated / (len(row) - 3))
    assert repeated_shares(rows) == pytest.approx(shares, rel=1e-12)


def test_repeated_shares_of_a_constant_and_of_different_ids():
    assert repeated_shares(torch.zeros(2, 13, dtype=torch.long)) == pytest.approx([0.9] * 2)
    assert not repeated_shares(torch.arange(26).reshape(2, 13)).any()


def test_metrics_of_arrays_tensors_and_lists_are_equal():
    array = np.random.default_rng(2).integers(0, 9, (5, 40))
    for same in (torch.from_numpy(array), list(array), list(torch.from_numpy(array))):
        assert unigram_entropy(same) == unigram_entropy(array)
        assert (repeated_shares(same) == repeated_shares(array)).all()
        assert distinct_n(same, 2) == distinct_n(array, 2)


def test_metrics_of_many_large_ids():
    ids = np.random.default_rng(3).integers(0, 2**40, (1000, 1024))
    assert unigram_entropy(ids) == pytest.approx(math.log(1024), abs=1e-3)
    assert distinct_n(ids, 3) == 1.0
    assert not repeated_shares(ids).any()


@pytest.mark.parametrize(
    "measure", [unigram_entropy, repeated_shares, lambda rows: distinct_n(rows, 2)]
)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no sequences"),
        (np.zeros((0, 5), dtype=int), "no sequences"),
        ([[0.5, 1.5]], "integer ids"),
        (np.zeros((2, 3, 4), dtype=int), "integer ids"),
    ],
)
def test_metrics_refuse_what_is_not_a_set_of_sequences(measure, rows, message):
    with pytest.raises(ValueError, match=message):
        measure(rows)


def test_metrics_refuse_a_set_without_ngrams():
    with pytest.raises(ValueError, match="no 4-gram: the longest sequence has 3 tokens"):
        repeated_shares([[1, 2, 3], [1]])
    with pytest.raises(ValueError, match="n=0"):
        distinct_n([[1, 2]], 0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_without_each_text_is_that_of_the_others(n: int) -> None:
    expected = [distinct_n(ROWS[:i] + ROWS[i + 1 :], n) for i in range(len(ROWS))]
    assert distinct_without(ROWS, n) == pytest.approx(expected, rel=1e-14)


def test_distinct_without_the_only_text_that_is_long_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="no 3-gram is left"):
        distinct_without([[1, 2], [1, 2, 3]], 3)
