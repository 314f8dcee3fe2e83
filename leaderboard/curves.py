"""Learning curves as training wrote them, read and held against the digest in their name."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evaluation.files import read_named, why

LARGEST = 64 * 2**20  # bytes
FARTHEST = 1e100  # from zero, of a value in a drawing; a NaN is beyond it
COLUMNS = ("step", "tokens", "seconds", "nats_per_token")


class Curve(NamedTuple):
    """Validation loss in nats per token after so many steps, tokens and seconds of training."""

    step: list[float]
    tokens: list[float]
    seconds: list[float]
    nats: list[float]

    def thinned(self, most: int) -> "Curve":
        """At most about `most` points at equal distances, the last one always among them."""
        stride = -(-len(self.step) // max(most, 1))
        return Curve(*(column[::-1][::stride][::-1] for column in self))


def read_curve(file: Path) -> Curve:
    """The points of `file`, whose name is its digest, that can be drawn.

    ValueError where it is missing, was edited or is no curve."""
    try:
        content = read_named(file, LARGEST)
        points = _points(csv.reader(content.decode("utf-8", "replace").splitlines()))
    except (OSError, csv.Error, ValueError) as error:
        raise ValueError(why(error, file)) from error
    drawn = [point for point in points if all(abs(value) <= FARTHEST for value in point)]
    columns = zip(*drawn, strict=True) if drawn else ((), (), (), ())
    return Curve(*map(list, columns))


def _points(rows: Iterator[list[str]]) -> list[list[float]]:
    header = next(rows, [])
    if not set(COLUMNS) <= set(header):
        raise ValueError(f"a curve has the columns {','.join(COLUMNS)}")
    places = [header.index(name) for name in COLUMNS]
    try:
        return [[float(row[place]) for place in places] for row in rows]
    except (IndexError, ValueError) as error:
        raise ValueError(f"a row is not of numbers ({error})") from error
