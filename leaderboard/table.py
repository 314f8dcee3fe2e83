"""Tables as data, which every output prints."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.records import Record

FIRST = "algorithm"  # the header of the column of names
BASELINE = "ar"  # the algorithm that the diffusion algorithms are compared with
SIGNS = {"≤": "≤ upper bound", "±": "± standard error"}
BOLD = "bold: really better than all others ranked"


@dataclass(frozen=True)
class Measure:
    """A mean over n runs, its standard error, and the standard deviation between the runs where
    n > 1; None where unknown."""

    mean: float
    stderr: float | None
    deviation: float | None = None
    n: int = 1
    is_bound: bool = False


Value = Measure | float | int | str | None


@dataclass(frozen=True)
class Column:
    """`name` is the header, `about` its explanation, `key` with `unit` the header of the raw
    numbers; `show` formats a value."""

    name: str
    key: str
    show: Callable[[Any], str]
    about: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Row:
    """One algorithm under one configuration, over all its seeds: a value for each Column.key, where
    it is known. A conflict is one of several records that claim the same run and differ."""

    name: str
    values: Mapping[str, Value]
    records: tuple[Record, ...] = ()
    conflict: bool = False


@dataclass(frozen=True)
class Table:
    """Comparable rows, best first, most telling column first.

    `caption` is the protocol that the rows share, `sentence` the verdict on their differences,
    `detail` the statistics behind it; `best` the row that is better than every other one of
    diffusion, None where none is.
    """

    kind: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sentence: str = ""
    detail: str = ""
    best: int | None = None

    def headers(self) -> list[str]:
        """The headers of `cells`."""
        return [FIRST, *(column.name for column in self.columns)]

    def cells(self) -> list[list[str]]:
        """The text of every row, its name first."""
        return [[row.name, *(shown(row, column) for column in self.columns)] for row in self.rows]

    def ranked(self) -> list[Row]:
        """The rows of diffusion with a perplexity of the model, but for those in conflict."""
        rows = [row for row in self.rows if row.records and row.records[0].algo != BASELINE]
        return [row for row in rows if not row.conflict and row.values["perplexity"] is not None]

    def fitting(self, width: int) -> tuple[list[int], list[str]]:
        """The indices of the columns that fit into `width` characters, two between them, the first
        ones first, and the headers of the others; the first two are always kept."""
        headers = self.headers()
        widths = [max(map(len, column)) for column in zip(headers, *self.cells(), strict=True)]
        kept, used = [0, 1], 1 + sum(widths[:2]) + 4
        for index in range(2, len(headers)):
            if used + widths[index] + 2 <= width:
                kept.append(index)
                used += widths[index] + 2
        return kept, [header for index, header in enumerate(headers) if index not in kept]

    def note(self) -> str:
        """The verdict, the signs in the cells and what is bold, short."""
        text = "".join(cell for line in self.cells() for cell in line[1:])
        said = [words for sign, words in SIGNS.items() if sign in text]
        signs = ", ".join([*said, *([BOLD] if self.best is not None else [])])
        return f"{self.sentence} {f'{signs}.' if signs else ''}".strip()

    def explanation(self) -> str:
        """The statistics, the protocol and the meaning of each column."""
        columns = [f"{column.name}: {column.about}." for column in self.columns if column.about]
        return " ".join(filter(None, [self.detail, self.caption, *columns]))


def shown(row: Row, column: Column) -> str:
    """The text of a value, empty where it is unknown."""
    value = row.values.get(column.key)
    return "" if value is None else column.show(value)


def number(value: Value) -> float | None:
    """The sort key of a value, None for words and for an unknown one."""
    if isinstance(value, Measure):
        return value.mean
    return value if isinstance(value, int | float) else None


def place(value: Value) -> float:
    """The sort key of a mean; what is unknown comes last."""
    return value.mean if isinstance(value, Measure) else math.inf


def filled(columns: tuple[Column, ...], rows: list[Row]) -> tuple[Column, ...]:
    """The columns in which some row has a value."""
    return tuple(column for column in columns if any(shown(row, column) for row in rows))
