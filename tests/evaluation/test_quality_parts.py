"""The numbers of single texts that intervals are made of."""

import numpy as np
import pytest

from evaluation.sample_quality.metrics import (
    distinct_n,
    distinct_without,
    entropies,
    repeated_shares,
    repetition,
    unigram_entropy,
)

ROWS = [np.random.default_rng(n).integers(0, 6, n).tolist() for n in (1, 3, 9, 17, 60)]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_distinct_without_each_text_is_that_of_the_others(n: int) -> None:
    expected = [distinct_n(ROWS[:i] + ROWS[i + 1 :], n) for i in range(len(ROWS))]
    assert distinct_without(ROWS, n) == pytest.approx(expected, rel=1e-14)


def test_distinct_without_the_only_text_that_is_long_enough_is_refused() -> None:
    with pytest.raises(ValueError, match="no 3-gram is left"):
        distinct_without([[1, 2], [1, 2, 3]], 3)


def test_single_texts_are_sets_of_one() -> None:
    assert entropies(ROWS) == pytest.approx([unigram_entropy([row]).mean for row in ROWS])
    long = [row for row in ROWS if len(row) >= 4]
    assert repeated_shares(ROWS) == pytest.approx([repetition([row]).mean for row in long])
