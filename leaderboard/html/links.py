"""The records of a page by number, with their addresses in it and beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.records import Record
from leaderboard.html.elements import address, link
from leaderboard.table import Table

FIRST = (
    "metric",
    "value",
    "stderr",
    "kind",
    "count",
    "algo",
    "data",
    "seed",
    "protocol",
    "sampler",
)


class Book:
    """Records by number, with their addresses in the page and beside it."""

    def __init__(self, tables: Sequence[Table], records: Sequence[Record], folder: Path):
        self.records = list(records)
        self.folder = folder
        self._numbers = {record.path: number for number, record in enumerate(self.records)}
        self._names: dict[str | None, str] = {}
        for row in (row for each in tables for row in each.rows if not row.conflict):
            for one in row.records:
                self._names.setdefault(one.fields["training"]["checkpoint_digest"], row.name)

    def number(self, record: Record) -> int:
        return self._numbers[record.path]

    def href(self, record: Record) -> str:
        """Where the page shows its fields."""
        return f"#record-{self.number(record)}"

    def file(self, record: Record) -> str:
        """The record itself, seen from the page."""
        return address(record.path, self.folder)

    def link(self, words: object, record: Record) -> str:
        return link(words, self.file(record), self.number(record))

    def series(self, record: Record) -> str:
        """What the tables call its run; the algorithm where they do not name it."""
        checkpoint, algo = record.fields["training"]["checkpoint_digest"], record.fields["algo"]
        return algo if checkpoint is None else self._names.get(checkpoint, algo)

    def brief(self, record: Record) -> dict[str, Any]:
        """Its address and its fields, what was measured first, without the configuration, which is
        in its file."""
        names = [*FIRST, *(name for name in record.fields if name not in (*FIRST, "config"))]
        return {"file": self.file(record), "fields": {name: record.fields[name] for name in names}}
