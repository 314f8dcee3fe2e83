"""The published models that are known by name: what their own files do not say of them."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("models.csv")


class Model(NamedTuple):
    """A model of the Hub. `rows` of its embedding and the id of its `mask` are those of its files;
    `published` is the row of leaderboard/published/results.csv that `protocol` measures again, in
    which value and source are; None where there is none."""

    name: str
    algorithm: str
    format: str
    rows: int
    mask: int | None
    length: int
    tokenizer: str | None  # None: its files bring one
    corpus: str
    protocol: str | None
    published: str | None


def models() -> dict[str, Model]:
    """The register, by name."""
    registered = {}
    with FILE.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            fields: dict[str, Any] = {key: text or None for key, text in row.items()}
            for key in ("rows", "mask", "length"):
                fields[key] = None if fields[key] is None else int(fields[key])
            registered[row["name"]] = Model(**fields)
    return registered
