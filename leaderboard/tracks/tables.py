"""The tables of a track: those of every leaderboard, over its entries alone, and its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.record_files import Curve, read_attached_curve
from evaluation.records import Record
from leaderboard.aggregate import Entry, Runs, pooled
from leaderboard.significance import Side, difference
from leaderboard.table import Row, Table
from leaderboard.tables import epochs, time_to_target

FIRST = 0.01  # of the two-sided p over seeds, below which a first place is taken


def of_track(
    tables: Sequence[Table], records: Sequence[Record], runs: Runs, track: Mapping[str, Any]
) -> list[Table]:
    """`tables` of the entries, the track's own behind the perplexities, which say who is first."""
    first = [_judged(table, track) for table in tables if table.kind == "perplexity"]
    entries, curves, own = entries_of(records, runs), curves_of(records), []
    if track["target"] is not None:
        own.append(time_to_target.table(entries, curves, track))
    if track["epochs"] is not None:
        own.append(epochs.table(entries, curves, track))
    return [*first, *own, *(table for table in tables if table.kind != "perplexity")]


def entries_of(records: Sequence[Record], runs: Runs) -> list[Entry]:
    """The rows that the likelihoods among the records make, but for those in conflict."""
    likelihoods = [record for record in records if record.metric == "ppl"]
    return [entry for entry in runs.entries(likelihoods) if not entry.conflict]


def curves_of(records: Sequence[Record]) -> dict[Path, Curve]:
    """The learning curve of every likelihood, by the path of its record."""
    return {
        record.path: read_attached_curve(record.path.parent / record.metrics["curve"])
        for record in records
        if record.metric == "ppl"
    }


def _judged(table: Table, track: Mapping[str, Any]) -> Table:
    """With a sentence on the first place, and what others published in the statistics."""
    published = f"Published: {'; '.join(track['published'])}." if track["published"] else ""
    return replace(
        table,
        title=f"track {track['name']}, {table.title}",
        sentence=f"{table.sentence} {first_place(table)}".strip(),
        detail=f"{table.detail} {published}".strip(),
    )


def first_place(table: Table) -> str:
    """Who of diffusion is first in a table of perplexities: whose seeds differ from those of every
    other row by p < FIRST, Welch's t of nats per token."""
    rows = table.ranked()
    if len(rows) < 2:
        return f"First place: {rows[0].name}, the only entry." if rows else ""
    leader, *others = rows
    rival, p = max(
        ((row, difference(_seeds(leader), _seeds(row)).p) for row in others),
        key=lambda pair: pair[1],
    )
    if p < FIRST:
        return f"First place: {leader.name} (over seeds p = {p:.1g} at most)."
    return (
        f"First place is open: {leader.name} before {rival.name} has p = {p:.2g} over seeds, below "
        f"{FIRST} is needed."
    )


def _seeds(row: Row) -> Side:
    """Nats per token of a row's runs; only their spread counts."""
    nats = pooled([(math.log(run.value), None) for run in row.records])
    return Side(nats.mean, None, nats.deviation, nats.n)
