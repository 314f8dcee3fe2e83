"""The columns of the tables and their explanations."""

from pathlib import Path

import pytest

from leaderboard.tables import cost, downstream, oracle, perplexity, published, samples

DOCS = Path(__file__).resolve().parents[2] / "docs" / "leaderboard.md"
TABLES = (perplexity, samples, oracle, cost, published)


@pytest.mark.parametrize("table", TABLES, ids=lambda module: module.__name__.split(".")[-1])
def test_columns_are_explained(table):
    assert all(column.about for column in table.COLUMNS)
    assert len({column.name for column in table.COLUMNS}) == len(table.COLUMNS)


def test_columns_are_in_the_glossary():
    glossary = DOCS.read_text("utf-8").split("## Columns")[1].split("\n## ")[0]
    terms = {
        term
        for line in glossary.splitlines()
        if line.startswith("| ")
        for term in line.split(" | ")[0].removeprefix("| ").split(", ")
    }
    names = {column.name for table in TABLES[:-1] for column in table.COLUMNS} | {"undecided"}
    assert downstream.UNDECIDED in glossary
    assert {name.split(" of ")[0] for name in names} <= terms
