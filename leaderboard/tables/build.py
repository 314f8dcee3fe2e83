"""Every table that records make: rows share one only where they are comparable."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluation.record_files import Sequences, read_sequences
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard.aggregate import Defaults, Runs
from leaderboard.published.results import Published
from leaderboard.table import Table
from leaderboard.tables.cost import costs
from leaderboard.tables.downstream import is_downstream, tasks
from leaderboard.tables.oracle import oracles
from leaderboard.tables.perplexity import perplexities
from leaderboard.tables.published import beside_perplexities, beside_samples
from leaderboard.tables.samples import samples

NOTHING = "no record of a result: run python main.py mode=benchmark first"
SHOWN = ("ppl", "samples", "oracle")


def compare(
    records: Sequence[Record],
    defaults: Defaults | None = None,
    sequences: Mapping[Path, Sequences] | None = None,
    published: Sequence[Published] = (),
) -> list[Table]:
    """Likelihood, samples, oracle, downstream tasks, cost, then the papers' numbers.

    `defaults` are today's settings of each algorithm, by which records of older versions are read;
    `sequences` what `read_all` found. ValueError where there is nothing to show.
    """
    runs = Runs(defaults or {})
    kinds: list[Callable[[], list[Table]]] = [
        lambda: perplexities(records, runs, sequences or {}, published),
        lambda: samples(records, runs),
        lambda: oracles(records, runs),
        lambda: tasks(records, runs),
        lambda: costs(records, runs),
        lambda: beside_perplexities(records, runs, published),
        lambda: beside_samples(records, runs, published),
    ]
    tables = [table for kind in kinds for table in kind()]
    if not tables:
        raise ValueError(NOTHING)
    return tables


def without_table(records: Sequence[Record]) -> list[str]:
    """The metrics of records that no table is made of, with their number."""
    left = [
        record.fields["metric"]
        for record in records
        if record.fields["metric"] not in SHOWN and not is_downstream(record.fields)
    ]
    return [f"{left.count(metric)} of metric={metric}" for metric in sorted(set(left))]


def conflict_lines(records: Sequence[Record], defaults: Defaults) -> list[str]:
    """One line for every run whose records differ in value."""
    lines = []
    for group in Runs(defaults).conflicts(records):
        said = ", ".join(f"{one.path.name} says {one.fields['value']:.6g}" for one in group)
        fields = group[0].fields
        about = f"{fields['algo']} {fields['metric']} on {fields['data']['name']}"
        lines.append(f"{about}, seed {fields['seed']}, claimed twice: {said}")
    return lines


def read_all(records: Sequence[Record]) -> tuple[dict[Path, Sequences], list[str]]:
    """The sequences of every likelihood that names them, and a line for each file that cannot be
    used; its record is compared unpaired."""
    found, problems = {}, []
    for record in records:
        if record.fields["metric"] != "ppl":
            continue
        try:
            one = read_sequences(record)
        except ValueError as error:
            problems.append(one_line(f"{record.path}: compared unpaired: {error}"))
            continue
        if one is not None:
            found[record.path] = one
    return found, problems
