"""The records of a page by number, with their addresses in it and beside it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from evaluation.records import Record
from leaderboard.table import Table

FIRST = (
    *("metric", "value", "stderr", "kind", "count", "algo", "data", "seed", "protocol"),
    "sampler",
)


class Link(NamedTuple):
    """A link with its text and tooltip, out of the page or to a `record`, which scripts show."""

    text: str
    href: str
    record: int | None = None
    outward: bool = False
    title: str = ""


def address(path: Path, folder: Path) -> str:
    """The relative address of a file, seen from a page in `folder`."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    return quote(Path(relative).as_posix())


class Links:
    """Records by number, with their addresses in a page in `folder` and beside it."""

    def __init__(self, tables: Sequence[Table], records: Sequence[Record], folder: Path):
        self.records = list(records)
        self.folder = folder
        self._numbers = {record.path: number for number, record in enumerate(self.records)}
        self._names: dict[str | None, str] = {}
        for row in (row for each in tables for row in each.rows if not row.conflict):
            for record in row.records:
                self._names.setdefault(record.checkpoint, row.name)

    def number(self, record: Record) -> int:
        return self._numbers[record.path]

    def href(self, record: Record) -> str:
        """The address in the page that shows a record's fields."""
        return f"#record-{self.number(record)}"

    def file(self, record: Record) -> str:
        """The address of a record's file, seen from the page."""
        return address(record.path, self.folder)

    def link(self, text: object, record: Record) -> Link:
        return Link(str(text), self.file(record), self.number(record))

    def series(self, record: Record) -> str:
        """The name of a record's run in the tables, or its algorithm where they do not name it."""
        if record.checkpoint is None:
            return record.algo
        return self._names.get(record.checkpoint, record.algo)

    def brief(self, record: Record) -> dict[str, Any]:
        """The address and the fields of a record, the measurement first, without the configuration,
        which is in its file."""
        fields = record.fields
        names = [*FIRST, *(name for name in fields if name not in (*FIRST, "config"))]
        return {"file": self.file(record), "fields": {name: fields[name] for name in names}}
