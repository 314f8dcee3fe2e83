"""Errors of differences, held against simulation, and what is said of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from evaluation.record_files import Sequences
from leaderboard.significance import Side, difference, losing, side, significant_pairs
from leaderboard.table import Measure
from leaderboard.verdict import verdict

TOKENS = np.random.default_rng(0).integers(40, 128, 400).astype(float)


def plain(value, noise=0.1, deviation=None, n=1):
    return Side(value, noise, deviation, n)


def paired(nats, variance=0.0):
    return Side(
        float(nats.sum() / TOKENS.sum()),
        None,
        None,
        1,
        Sequences(np.arange(len(nats)), nats, np.full_like(nats, variance), TOKENS),
    )


def test_the_error_of_new_text_is_the_spread_over_texts():
    rng = np.random.default_rng(1)

    def draw():
        hard = rng.gamma(4.0, 0.5, len(TOKENS)) * TOKENS  # what both find hard
        return paired(hard + 0.02 * TOKENS), paired(hard * 1.01)

    found = [difference(*draw()) for _ in range(300)]
    spread = np.std([one.gap for one in found], ddof=1)
    stated = np.mean([one.text for one in found])
    assert stated == pytest.approx(spread, rel=0.15)
    alone = math.hypot(*(np.std(one.sequences.nats / TOKENS) for one in draw()))
    assert stated < alone / math.sqrt(len(TOKENS)) / 5  # what pairing saves


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_error_on_this_text_is_that_of_the_noise(shared):
    """Independent noise by its variances; noise that two runs share by what is left of it."""
    rng, clean, sigma = np.random.default_rng(2), TOKENS * 2.0, 3.0
    gaps = []
    for _ in range(400):
        common = rng.normal(0, sigma * math.sqrt(shared), len(TOKENS))
        own = rng.normal(0, sigma * math.sqrt(1 - shared), (2, len(TOKENS)))
        gaps.append(difference(*(paired(clean + common + one, sigma**2) for one in own)))
    spread = np.std([one.gap for one in gaps], ddof=1)
    assert np.mean([one.noise for one in gaps]) == pytest.approx(spread, rel=0.15)
    assert all(one.noise <= one.text for one in gaps)


def test_on_text_that_varies_the_noise_is_less_than_the_error_of_new_text():
    rng = np.random.default_rng(6)
    one, other = (paired(TOKENS * rng.gamma(4.0, 0.5, len(TOKENS)), 1.0) for _ in range(2))
    found = difference(one, other)
    assert found.noise == pytest.approx(math.sqrt(2 * len(TOKENS)) / TOKENS.sum())
    assert found.text > 10 * found.noise


def test_other_sequences_or_an_unknown_noise_are_not_paired():
    one, other = paired(TOKENS * 2.0, 1.0), paired(TOKENS * 2.1, math.nan)
    found = difference(one, other)
    assert found.noise == found.text is not None
    for changed in ({"tokens": TOKENS + 1}, {"index": np.arange(1, len(TOKENS) + 1)}):
        cut = replace(other.sequences, **changed)
        assert difference(one, other._replace(sequences=cut, noise=0.1)).text is None


def test_seeds_are_welchs_test():
    rng = np.random.default_rng(3)
    a, b = rng.normal(2.0, 0.01, 3), rng.normal(2.03, 0.03, 5)
    one, two = (Side(x.mean(), 0.0, x.std(ddof=1), len(x)) for x in (a, b))
    found = difference(one, two)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.df == pytest.approx(expected.df)


def test_one_seed_is_given_the_deviation_of_the_other():
    found = difference(plain(2.0, 0.0, 0.1, 4), plain(2.5, 0.0))
    assert found.seeds == pytest.approx(0.1 * math.sqrt(1 / 4 + 1))
    assert found.df == 3
    assert difference(plain(2.0), plain(2.5)).seeds is None


def test_the_largest_known_error_decides():
    found = difference(plain(2.0, 0.3, 0.01, 3), plain(2.5, 0.4, 0.01, 3))
    assert found.stderr == pytest.approx(0.5)
    assert found.p > 0.3
    assert difference(plain(2.0, None), plain(2.5)).stderr is None
    assert difference(plain(2.0, None), plain(2.5)).p == 1.0


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_equal_rows_are_seldom_significant_pairs(rows):
    """Neither any pair nor the first one from all the others, in more than five of a hundred
    tables."""
    rng, tables = np.random.default_rng(4), 1500
    any_pair = bold = 0
    for _ in range(tables):
        sides = sorted(
            (plain(value) for value in rng.normal(2.0, 0.1, rows)), key=lambda s: s.value
        )
        real = significant_pairs(sides)
        any_pair += any(real.values())
        bold += all(told for pair, told in real.items() if 0 in pair)
    assert any_pair / tables < 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)
    assert bold <= any_pair


def test_two_standard_errors_and_holm():
    def real(*values):
        return list(
            significant_pairs([plain(value, 0.1 / math.sqrt(2)) for value in values]).values()
        )

    assert real(2.0, 2.201) == [True]
    assert real(2.0, 2.199) == [False]
    assert real(2.0, 2.201, 3.0) == [True, True, True]  # Holm: the near pair is the last asked
    assert real(2.0, 2.21, 2.42) == [False, True, False]  # the two near ones share a level


def test_losses_above_zero():
    measures = [Measure(0.5, 0.1), Measure(0.15, 0.1), Measure(-0.5, 0.1), Measure(0.5, None)]
    assert losing(measures) == [True, False, False, False]


@pytest.mark.parametrize(
    ("values", "words", "best"),
    [
        ([1.0], "One row: there is no difference to judge.", None),
        ([1.0, 2.0], "The difference is real (unpaired; one seed each).", 0),
        ([1.0, 1.1], "The difference is not real (", None),
        ([1.0, 1.1, 1.05], "None of the 3 differences is real (", None),
        ([1.0, 2.0, 3.0], "All 3 differences are real (", 0),
        ([1.0, 2.0, 2.1], "2 of 3 differences are real, not b and c (", 0),
        ([1.0, 1.1, 3.0], "2 of 3 differences are real, not a and b (", None),
        ([1.0, 1.1, 1.2, 2.0], "3 of 6 differences are real (", None),
    ],
)
def test_verdict_sentence(values, words, best):
    found = verdict("abcd"[: len(values)], [plain(value) for value in values])
    assert found.sentence.startswith(words)
    assert found.best == best


def test_verdict_names_the_pairs_that_its_sentence_has_no_room_for():
    found = verdict("abcd", [plain(value) for value in (1.0, 1.1, 1.2, 2.0)])
    assert "Not real: a and b; a and c; b and c. Real: more than two" in found.detail


def test_verdict_ranks_all_but_the_baseline():
    """Rows share the rank of the first one that they do not really differ from."""
    sides = [plain(value) for value in (0.5, 1.0, 1.1, 2.0, 3.0, 3.1)]
    found = verdict("abcdef", sides, baseline=[0])
    assert found.ranks == [None, 1, 1, 3, 4, 4]
    assert found.best is None
    assert verdict("abcdef", [sides[0], sides[1], sides[3]], baseline=[0]).best == 1
    assert verdict("ab", sides[:2], baseline=[0]).best is None  # there is nothing that it leads


def test_verdict_says_how_rows_were_compared():
    seeds = [plain(1.0, n=1), plain(2.0, deviation=0.1, n=3)]
    assert "(unpaired; 1 to 3 seeds)." in verdict("ab", seeds).sentence
    sides = [paired(TOKENS * 2.0), paired(TOKENS * 2.1)]
    assert "(paired, 400 sequences; one seed each)." in verdict("ab", sides).sentence


def test_rows_of_one_name_are_numbered():
    assert (
        "mdlm (row 1) and mdlm (row 2)"
        in verdict(["mdlm", "mdlm", "ar"], [plain(1.0), plain(1.1), plain(5.0)]).sentence
    )


def test_real_on_this_text_but_not_on_new_text():
    rng = np.random.default_rng(5)
    one = TOKENS * 2.0
    sides = [paired(one), paired(one + rng.normal(1.0, 40.0, len(TOKENS)))]
    found = difference(*sides)
    assert abs(found.gap) < 2 * found.text
    told = verdict(["a", "b"], sides)
    assert "Real on this very text but not surely on new text: a and b." in told.detail
    assert "over the same 400 sequences" in told.detail
    assert told.best is None


def test_side_of_a_measure():
    assert side(Measure(2.0, 0.1, 0.05, 3)) == Side(2.0, 0.1, 0.05, 3)
