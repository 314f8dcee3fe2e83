"""The raw numbers of all tables in one CSV file, in full precision."""

import csv
import io
from collections.abc import Sequence

from evaluation.words import printable
from leaderboard.table import FIRST, Column, Measure, Row, Table, Value

FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20\t\r\n")  # begins one, for a spreadsheet
WHERE = ("table", "title", FIRST, "conflict", "records")


def csv_text(tables: Sequence[Table]) -> str:
    """One line for each row of each table, behind its kind and title; a column for every quantity
    of any of them, its unit in the header, empty where a row has none."""
    lines = [line for table in tables for line in _lines(table)]
    names = dict.fromkeys([*WHERE, *(name for line in lines for name in line)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _lines(table: Table) -> list[dict[str, str]]:
    keys = {column.key: column for column in table.columns}  # each once
    return [
        {
            "table": table.kind,
            "title": _words(table.title),
            FIRST: _words(row.name),
            "conflict": "yes" if row.conflict else "",
            "records": _words(" ".join(record.path.name for record in row.records)),
        }
        | {name: cell for column in keys.values() for name, cell in _cells(row, column).items()}
        for row in table.rows
    ]


def _cells(row: Row, column: Column) -> dict[str, str]:
    """The value by the name of its column; of a Measure also what is beside its mean."""
    unit = f" [{column.unit}]" if column.unit else ""
    value, key = row.values.get(column.key), _words(column.key)
    if not isinstance(value, Measure):
        return {f"{key}{unit}": _plain(value)}
    return {
        f"{key}{unit}": _plain(value.mean),
        f"{key}_stderr{unit}": _plain(value.stderr),
        f"{key}_deviation{unit}": _plain(value.deviation),
        f"{key}_n": _plain(value.n),
        f"{key}_is_bound": "yes" if value.is_bound else "no",
    }


def _plain(value: Value) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else _words(value)


def _words(value: Value) -> str:
    """A text, marked where a spreadsheet would take it for a formula; numbers stay as they are."""
    words = printable(value)
    return f"'{words}" if isinstance(value, str) and words.startswith(FORMULA) else words
