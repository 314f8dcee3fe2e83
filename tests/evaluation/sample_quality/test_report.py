"""The numbers of sample quality together: their names, their references, what is left out."""

import importlib.util

import numpy as np
import pytest

from data.tokenizers import make_tokenizer
from evaluation.gen_ppl.hf_scorer import pretrained
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.sample_quality import mauve
from evaluation.sample_quality.report import Reference, quality
from evaluation.sample_quality.train_overlap import TrainOverlap
from tests.evaluation.gen_ppl.tiny_scorer import save_scorer

NAMES = ("entropy", "distinct_1", "distinct_2", "distinct_3", "repetition", "gen_ppl")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scorer")
    save_scorer(folder)
    return pretrained(str(folder), make_tokenizer(str(folder)))


@pytest.fixture(scope="module")
def tokenizer(scorer):
    return make_tokenizer(scorer.provenance["scorer"])


def rows(count: int, seed: int) -> list[list[int]]:
    tokens = np.random.default_rng(seed).zipf(1.6, size=(count, 40)).clip(0, 200) + 30
    return [[260, *row] for row in tokens.tolist()]


def masks(count: int) -> list[list[bool]]:
    return [[True] + [False] * 40] * count


def test_quality_every_number_comes_with_its_error_and_that_of_held_out_text(
    scorer, tokenizer
) -> None:
    held = Reference(rows(90, 2), TrainOverlap(rows(200, 3), rows(90, 2)))
    arguments = (rows(60, 1), masks(60), held, scorer, tokenizer, PROTOCOLS["default"])
    found = quality(*arguments, seed=4)
    for name in NAMES:
        low, high = found[f"{name}_ci"]
        assert low < found[name] < high and found[f"{name}_stderr"] > 0, name
        assert found[f"reference_{name}"] == pytest.approx(found[name], rel=0.3), name
    assert abs(found["divergence"]) < 4 * found["divergence_stderr"]
    assert abs(found["two_sample_accuracy"] - 0.5) < 4 * found["two_sample_accuracy_stderr"]
    assert found["train_overlap"] < 0.1
    assert found["gen_ppl_tokens"] == 60 * 40 and found["gen_ppl_read"] == "ids"
    assert found["quality_protocol"]["average"] == "tokens"
    assert quality(*arguments, seed=4) == found


@pytest.mark.skipif(importlib.util.find_spec("mauve") is None, reason="mauve-text is optional")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_quality_mauve_is_high_for_equal_and_low_for_different_features() -> None:
    generator = np.random.default_rng(0)
    real, same, other = generator.normal(size=(3, 120, 8)).astype(np.float32)
    assert mauve.mauve(same, real, 1).value > 0.85
    far = mauve.mauve(other + 2, real, 1)
    assert far.value < 0.3 and far.stderr is not None and 0 <= far.low <= far.value <= far.high


def test_quality_mauve_is_left_out_with_the_reason(scorer, tokenizer, monkeypatch) -> None:
    arguments = (masks(8), Reference(rows(8, 2)))
    few = quality(rows(8, 1), *arguments, scorer, tokenizer, PROTOCOLS["default"], 1)
    assert few["mauve_absent"] == "8 texts a side, 40 are needed" and "mauve" not in few
    alone = quality(rows(8, 1), *arguments, None, tokenizer, PROTOCOLS["default"], 1)
    assert alone["mauve_absent"].startswith("no scorer") and "gen_ppl" not in alone
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert mauve.missing(500) == "the package mauve-text is not installed"


def test_quality_one_short_text_has_numbers_without_errors(scorer, tokenizer) -> None:
    found = quality(
        [[260, 40, 41]], [[True, False, False]], None, scorer, tokenizer, PROTOCOLS["default"], 1
    )
    assert found["entropy"] == pytest.approx(np.log(2)) and found["entropy_ci"] is None
    assert found["distinct_2"] == 1.0 and "distinct_3" not in found and "repetition" not in found
    assert found["gen_ppl_tokens"] == 2 and found["gen_ppl_stderr"] is None
    assert found["divergence_absent"] == "there is no held-out text to compare with"


def test_quality_the_published_entropy_counts_every_token(scorer, tokenizer) -> None:
    drawn, every = (
        quality(rows(8, 1), masks(8), None, None, tokenizer, PROTOCOLS[name], 1)["entropy"]
        for name in ("default", "duo")
    )
    first = [np.unique(row[1:], return_counts=True)[1] / 40 for row in rows(8, 1)]
    whole = [np.unique(row, return_counts=True)[1] / 41 for row in rows(8, 1)]
    assert drawn == pytest.approx(np.mean([-(p * np.log(p)).sum() for p in first]))
    assert every == pytest.approx(np.mean([-(p * np.log(p)).sum() for p in whole]))


def test_quality_positions_in_the_middle_may_be_given(scorer, tokenizer) -> None:
    known = [[place % 3 == 0 for place in range(41)]] * 6
    found = quality(
        rows(6, 1), known, Reference(rows(9, 2)), scorer, tokenizer, PROTOCOLS["default"], 1
    )
    assert found["gen_ppl_tokens"] == 6 * sum(not one for one in known[0])
