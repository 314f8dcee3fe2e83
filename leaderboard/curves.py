"""Learning curves as training wrote them, read and held against the digest in their name."""

import csv
import hashlib
import math
from pathlib import Path
from typing import NamedTuple

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
    """The finite points of `file`, whose name is its digest.

    OSError where it is missing; ValueError where it was edited or is no curve."""
    content = file.read_bytes()
    mark = hashlib.sha256(content).hexdigest()[:16]
    if file.stem != mark:
        raise ValueError(f"{file}: edited: its contents have the digest {mark}")
    rows = csv.DictReader(content.decode("utf-8", "replace").splitlines())
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise ValueError(f"{file}: a curve has the columns {','.join(COLUMNS)}")
    try:
        points = [[float(row[name]) for name in COLUMNS] for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: a row is not of numbers ({error})") from error
    finite = [point for point in points if all(map(math.isfinite, point))]
    columns = zip(*finite, strict=True) if finite else ((), (), (), ())
    return Curve(*map(list, columns))
