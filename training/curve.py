"""The learning curve of a run as curve.csv in its directory: validation loss with its error against
steps, tokens and seconds. Only the standard library."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CURVE = "curve.csv"


class Point(NamedTuple):
    """One validation: optimizer steps, tokens and seconds of training so far, nats per token with
    the standard error that new text of the kind would give them."""

    step: int
    tokens: int
    seconds: float
    nats_per_token: float
    nats_stderr: float


def as_csv(points: Sequence[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows(points)
    return text.getvalue()


def parsed(text: str) -> list[Point]:
    """The points of the CSV text of a learning curve; ValueError for another text."""
    try:
        header, *rows = list(csv.reader(text.splitlines())) or [[]]
        if tuple(header) != Point._fields:
            raise ValueError(f"its first line is not {','.join(Point._fields)}")
        return [Point(int(s), int(t), *map(float, more)) for s, t, *more in rows]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"no learning curve of this suite ({error})") from error


def read_curve(file: Path) -> list[Point]:
    """The points of a curve.csv, none where there is no file; ValueError for another file."""
    if not file.exists():
        return []
    try:
        return parsed(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
