"""What a table is, whatever it shows: every way to print one reads this and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evaluation.records import Record

FIRST = "algorithm"  # the header of the column of names


@dataclass(frozen=True)
class Measure:
    """A number over n runs: its mean, the standard error, and the deviation between them where
    n > 1. None is not known."""

    mean: float
    stderr: float | None
    deviation: float | None = None
    n: int = 1
    is_bound: bool = False


Value = Measure | float | int | str | None


@dataclass(frozen=True)
class Column:
    """`name` heads what is read, `key` with `unit` the raw numbers; `show` makes a value text."""

    name: str
    key: str
    show: Callable[[Any], str]
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
    """Comparable rows, best first.

    `sentence` says which differences are real. `first_stands_out`: the first row's lead over every
    other is, so that a reader may take it for the best; its first value is bold.
    """

    kind: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sentence: str = ""
    first_stands_out: bool = False

    def headers(self) -> list[str]:
        """Those of `cells`."""
        return [FIRST, *(column.name for column in self.columns)]

    def cells(self) -> list[list[str]]:
        """The text of every row, its name first."""
        return [[row.name, *(shown(row, column) for column in self.columns)] for row in self.rows]


def shown(row: Row, column: Column) -> str:
    """The text of a value, empty where it is not known."""
    value = row.values.get(column.key)
    return "" if value is None else column.show(value)


def number(value: Value) -> float | None:
    """What a column is sorted by; None for words and for what is not known."""
    if isinstance(value, Measure):
        return value.mean
    return value if isinstance(value, int | float) else None


def filled(columns: tuple[Column, ...], rows: list[Row]) -> tuple[Column, ...]:
    """The columns that some row has something for."""
    return tuple(column for column in columns if any(shown(row, column) for row in rows))
