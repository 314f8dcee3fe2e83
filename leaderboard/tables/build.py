"""Every table that records make: rows share one only where they are comparable."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.record_files import Sequences, read_sequences
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard.aggregate import Defaults, Runs, grouped
from leaderboard.published.results import Published
from leaderboard.table import Table
from leaderboard.tables import cost, downstream, oracle, perplexity, published, samples

NOTHING = "no record of a result: run python main.py mode=benchmark first"
SHOWN = ("ppl", "ordered_ppl", "samples", "oracle")


def compare(
    records: Sequence[Record],
    defaults: Defaults | None = None,
    sequences: Mapping[Path, Sequences] | None = None,
    papers: Sequence[Published] = (),
) -> list[Table]:
    """Likelihood, samples, oracle, downstream tasks, cost, then the papers' numbers, each kind
    sorted by title.

    `defaults` are the settings of each algorithm in the configuration, `sequences` those of
    `read_all`. ValueError where there is nothing to show.
    """
    runs, sampled = Runs(defaults or {}), samples.newest(records)
    kinds: list[tuple[Callable[[Record], Any], Callable[[list[Record]], Table]]] = [
        (perplexity.shared, lambda group: perplexity.table(group, runs, sequences or {}, papers)),
        (samples.shared, lambda group: samples.table(group, runs)),
        (oracle.shared, lambda group: oracle.table(group, runs)),
        (downstream.shared, lambda group: downstream.table(group, runs)),
        (cost.shared, lambda group: cost.table(group, runs, sampled)),
    ]
    tables = []
    for shared, table in kinds:
        of_kind = map(table, grouped(records, shared))
        tables += sorted(of_kind, key=lambda built: (built.title, built.caption))
    if not tables:
        raise ValueError(NOTHING)
    return tables + published.tables(records, runs, papers)


def without_table(records: Sequence[Record]) -> list[str]:
    """The metrics of records that are in no table, with their number."""
    left = [
        record.metric
        for record in records
        if record.metric not in SHOWN and not downstream.shared(record)
    ]
    return [f"{left.count(metric)} of metric={metric}" for metric in sorted(set(left))]


def conflict_lines(records: Sequence[Record], defaults: Defaults) -> list[str]:
    """One line for every run whose records differ in value."""
    lines = []
    for group in Runs(defaults).conflicts(records):
        values = ", ".join(f"{record.path.name} says {record.value:.6g}" for record in group)
        first = group[0]
        about = f"{first.algo} {first.metric} on {first.data['name']}"
        lines.append(f"{about}, seed {first.seed}, claimed twice: {values}")
    return lines


def read_all(records: Sequence[Record]) -> tuple[dict[Path, Sequences], list[str]]:
    """The sequences of every likelihood that names them, and a line for each file that cannot be
    used; its record is compared unpaired."""
    sequences, problems = {}, []
    for record in records:
        if record.metric != "ppl":
            continue
        try:
            scored = read_sequences(record)
        except ValueError as error:
            problems.append(one_line(f"{record.path}: compared unpaired: {error}"))
            continue
        if scored is not None:
            sequences[record.path] = scored
    return sequences, problems
