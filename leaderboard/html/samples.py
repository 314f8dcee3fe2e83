"""Samples to read: the first texts of each record's samples file, where it is still there."""

import os
from collections.abc import Sequence
from pathlib import Path

from evaluation import samples_file
from evaluation.files import read_named, why
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard.charts.data import sampler_words
from leaderboard.html.elements import link, text

LARGEST = 2**28  # bytes
TEXTS = 3  # of each file
LETTERS = 1500  # of each text


def samples(numbered: Sequence[tuple[int, Record, str]]) -> tuple[str, list[str]]:
    """HTML of the texts, a fold for each algorithm and corpus and in it one for each record (its
    number, itself, its address); and a line for each whose file is gone or cannot be read."""
    folds: dict[tuple[str, str], list[str]] = {}
    problems = []
    for number, record, to in sorted(numbered, key=lambda one: _order(one[1])):
        stated, name = record.fields["metrics"].get("samples"), _name(record)
        if stated is None:
            continue
        try:
            texts = _texts(_file(record, stated))
        except (OSError, ValueError) as error:
            problems.append(one_line(f"{record.path}: no samples to read: {why(error, stated)}"))
            continue
        folds.setdefault(name, []).append(_fold(number, record, to, texts))
    groups = (
        f'<details class="block"><summary>{text(algo)} on {text(corpus)} ({len(own)})'
        "</summary>\n" + "\n".join(own) + "</details>"
        for (algo, corpus), own in folds.items()
    )
    return "\n".join(groups), problems


def _order(record: Record) -> tuple[str, str, str, int, int]:
    fields = record.fields
    steps = (fields["sampler"] or {}).get("steps")
    return *_name(record), sampler_words(fields), steps or 0, fields["seed"]


def _name(record: Record) -> tuple[str, str]:
    return record.fields["algo"], record.fields["data"]["name"]


def _file(record: Record, name: str) -> Path:
    """The samples file as the record names it: seen from where the suite runs, or else from the
    record."""
    return Path(name) if os.path.lexists(name) else record.path.parent / name


def _texts(file: Path) -> list[str]:
    """All texts of a samples file; OSError or ValueError where it is none."""
    rows = samples_file.read(read_named(file, LARGEST)).rows
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("it has no list `samples`")
    return [str(row.get("text", "")) for row in rows]


def _fold(number: int, record: Record, to: str, texts: Sequence[str]) -> str:
    fields = record.fields
    steps = (fields["sampler"] or {}).get("steps")
    about = [sampler_words(fields), f"{steps} steps" if steps else "", f"seed {fields['seed']}"]
    shown = "\n".join(f'<pre dir="auto">{_cut(one)}</pre>' for one in texts[:TEXTS])
    return (
        f'<details data-algo="{text(fields["algo"])}" data-corpus="{text(fields["data"]["name"])}">'
        f"<summary>{text(', '.join(filter(None, about)))}</summary>\n"
        f'<p class="quiet">{min(TEXTS, len(texts))} of {len(texts)} texts; '
        f"{link('record', to, number)}</p>\n{shown}</details>"
    )


def _cut(words: str) -> str:
    if len(words) <= LETTERS:
        return text(words)
    more = f"the first {LETTERS:,} of {len(words):,} characters"
    return f'{text(words[:LETTERS])}<span class="quiet"> … ({more})</span>'
