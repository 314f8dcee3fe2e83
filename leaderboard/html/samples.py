"""The first texts of each record's samples file, where it is still there."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaluation import samples_file
from evaluation.files import read_named, why
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import labels
from leaderboard.links import Link, Links, address

LARGEST = 2**28  # bytes
TEXTS = 3  # of each file
LETTERS = 1500  # of each text
SAMPLED = ("samples", "corrected_samples")  # metrics of records with texts


class Sampled(NamedTuple):
    """The first texts of a record, their total number, and the links to it and to the page that
    plays how they came about."""

    number: int
    record: Record
    about: str
    texts: Sequence[tuple[str, int]]  # the beginning of each, and its length
    total: int
    links: Sequence[Link]


def samples(links: Links) -> tuple[dict[str, list[Sampled]], list[str]]:
    """The texts of all records by algorithm and corpus, and a line for each file without them."""
    groups: dict[str, list[Sampled]] = {}
    problems = []
    for record in sorted(links.records, key=_order):
        name = record.metrics.get("samples")
        if record.metric not in SAMPLED or name is None:
            continue
        # The file as its record names it: seen from the working directory, or from the record.
        file = Path(name) if os.path.lexists(name) else record.path.parent / name
        try:
            texts = _texts(file)
        except (OSError, ValueError) as error:
            problems.append(one_line(f"{record.path}: no samples to read: {why(error, name)}"))
            continue
        to = [links.link("record", record)]
        trajectories = file.with_suffix(".html")
        if trajectories.is_file():
            to.append(Link("how they came about", address(trajectories, links.folder)))
        about = f"{labels.sampler_and_steps(record)}, seed {record.seed}"
        first = [(text[:LETTERS], len(text)) for text in texts[:TEXTS]]
        group = groups.setdefault(f"{record.algo} on {record.data['name']}", [])
        group.append(Sampled(links.number(record), record, about, first, len(texts), to))
    return groups, problems


def _order(record: Record) -> tuple[str, str, str, int, int]:
    sampler = labels.sampler(record)
    return record.algo, record.data["name"], sampler, record.steps or 0, record.seed


def _texts(file: Path) -> list[str]:
    """All texts of a samples file; OSError or ValueError where it is none."""
    rows = samples_file.read(read_named(file, LARGEST)).rows
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a file of samples (one of them is no object)")
    return [str(row.get("text", "")) for row in rows]
