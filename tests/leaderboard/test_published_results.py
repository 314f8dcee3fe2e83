"""The papers' numbers against the file they come from, and their shape."""

import csv
from pathlib import Path

import pytest

from leaderboard.published.results import RESULTS, published, titles

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared/reference/published_results.yaml"
SAME = (  # columns that are carried over as they are
    *("algo", "model", "params", "dataset", "split", "tokenizer", "context_length", "packing"),
    *("train_dataset", "train_steps", "train_tokens", "metric", "value", "bound", "sampler"),
    *("nfe", "nucleus_p", "sampling_precision", "num_samples", "entropy", "mauve"),
    "self_accuracy",
)


def test_every_row_is_complete():
    rows = published()
    assert len(rows) == 488
    assert len({row.id for row in rows}) == len(rows)
    assert {row.metric for row in rows} == {"ppl", "zero_shot_ppl", "gen_ppl", "bpc", "accuracy"}
    assert {row.read_in for row in rows} == {"paper", "readme", "secondary"}
    assert {row.size for row in rows} == {"small", "base", None}
    for row in rows:
        assert row.value > 0
        assert isinstance(row.bound, bool)
        assert row.packing in (True, False, None)
        assert row.arxiv in titles()
        assert row.source == f"arXiv {row.arxiv}, {row.location}"
        assert row.location
        assert isinstance(row.context_length, int)
        assert row.metric != "gen_ppl" or row.judge_model


def test_no_two_rows_are_alike_but_for_their_number():
    free = {"id", "value", "entropy", "mauve", "self_accuracy"}
    keys = [tuple(v for k, v in row._asdict().items() if k not in free) for row in published()]
    assert len(set(keys)) == len(keys)


def test_words_are_short():
    for row in published():
        assert len(row.doubt or "") <= 24
        assert len(row.variant or "") <= 90


def test_the_file_is_plain():
    content = RESULTS.read_text("utf-8")
    assert content.isascii()
    assert "\r" not in content
    lines = list(csv.reader(content.splitlines()))
    assert {len(line) for line in lines} == {len(lines[0])}


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs ../shared/reference")
def test_numbers_and_sources_are_those_of_the_reference():
    yaml = pytest.importorskip("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    listed = yaml.load(REFERENCE.read_text("utf-8"), Loader=loader)["results"]
    seen = {one["id"]: one for one in listed if one["confidence"] == "seen"}
    ours = {row.id: row for row in published()}
    assert seen.keys() == ours.keys()
    for name, one in seen.items():
        row = ours[name]
        assert {key: one.get(key) for key in SAME} == {key: getattr(row, key) for key in SAME}
        assert (one["source"]["arxiv"], one["source"]["location"]) == (row.arxiv, row.location)
        assert titles()[row.arxiv] == one["source"]["title"]
        assert (one.get("judge_model") or "").split(" (")[0] == (row.judge_model or "")
        assert ("secondary" in one["seen_in"]) <= (row.read_in != "paper")
