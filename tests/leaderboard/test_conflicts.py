"""Records that claim the same run and differ."""

import pytest

from leaderboard.export.csv_files import csv_text
from leaderboard.export.markdown import markdown
from leaderboard.tables.build import compare, conflict_lines


def table(records, kind="perplexity"):
    (found,) = [one for one in compare(records) if one.kind == kind]
    return found


def test_both_are_shown_marked_and_not_compared(board, algorithm):
    records = board(
        algorithm("mdlm", 13.0), algorithm("mdlm", 13.5), algorithm("ar", 11.0), algorithm("ar", 11)
    )
    shown = table(records)
    assert [(row.name, row.conflict) for row in shown.rows] == [
        ("ar", False),
        ("mdlm [conflict, 2 records]", True),
        ("mdlm [conflict, 2 records]", True),
    ]
    assert [row.values["perplexity"].mean for row in shown.rows] == [11, 13.0, 13.5]
    assert shown.best is None
    assert "Conflict: records of one run differ in value" in shown.sentence
    assert "One row: there is no difference to judge." in shown.sentence
    (line,) = conflict_lines(records, {})
    assert line.startswith("mdlm ppl on wikitext103, seed 1, claimed twice: ")
    assert "says 13" in line
    assert "says 13.5" in line
    assert "**" not in markdown([shown])
    assert csv_text([shown]).count(",yes,") >= 2


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"training": {"checkpoint_digest": "another"}},
        {"protocol": {"bos": False}},
        {"data": {"digest": "e" * 64}},
        {"value": 13.0000001},
        {"stderr": 0.2},
    ],
)
def test_another_claim_is_no_conflict(board, algorithm, other):
    one, two = algorithm("mdlm", 13.0), algorithm("mdlm", 13.0 if "value" in other else 13.5)
    if "stderr" in other:
        two["value"] = 13.0
    records = board(
        one, {**two, **other, "training": {**two["training"], **other.get("training", {})}}
    )
    assert conflict_lines(records, {}) == []
    assert not any(row.conflict for one in compare(records) for row in one.rows)


def test_the_other_seeds_of_the_recipe_stay_together(board, algorithm):
    seeds = [algorithm("mdlm", 13.0 + s, seed=s, checkpoint=f"c{s}") for s in range(3)]
    again = algorithm("mdlm", 14.0, seed=2, checkpoint="c2")
    rows = table(board(*seeds, again)).rows
    assert [(row.values["perplexity"].n, row.conflict) for row in rows] == [
        (2, False),
        (1, True),
        (1, True),
    ]


def test_samples_that_contradict_each_other(board, sample):
    shown = table(board(sample("c", 5.0), sample("c", 5.2)), "samples")
    assert [row.conflict for row in shown.rows if row.records] == [True, True]
    assert "Conflict" in shown.sentence


def test_a_conflict_withholds_bold_from_all(board, algorithm):
    apart = [algorithm("duo", 11.0), algorithm("gidd", 12.0)]
    assert table(board(*apart)).best == 0
    shown = table(board(algorithm("mdlm", 13.0), algorithm("mdlm", 13.5)))
    assert "The difference is real (" in shown.sentence
    assert shown.best is None
