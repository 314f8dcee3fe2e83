"""The table of time to target: how soon learning curves first reach the loss that a track names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from evaluation.record_files import Curve
from evaluation.records import Record
from leaderboard.aggregate import Entry, pooled
from leaderboard.format import count, measure, measured_amount, words
from leaderboard.significance import Side
from leaderboard.table import Column, Measure, Row, Table, Value, filled, place
from leaderboard.tracks.readings import Reached, reached
from leaderboard.verdict import verdict

KIND = "target"
BUDGETS = {"Tokens": "target_tokens", "FLOPs": "target_flops"}
COLUMNS = (
    Column("tokens to target", "target_tokens", measured_amount, "of training"),
    Column("FLOPs", "target_flops", measured_amount, "of training until then"),
    Column("seconds", "target_seconds", measure, "of training, on the machine of the row", "s"),
    Column("reached", "target_runs", words, "runs that reach it"),
    Column("rank", "rank", count, "by tokens; shared where not really different"),
)


def table(
    entries: Sequence[Entry], curves: Mapping[Path, Curve], track: Mapping[str, Any]
) -> Table:
    """Sooner first; behind them the rows of which not every run reaches the target."""
    rows = [_row(entry, curves, track["target"]) for entry in entries]
    rows.sort(key=lambda row: (place(row.values["target_tokens"]), row.name))
    timed = [row for row in rows if row.values["target_tokens"] is not None]
    verdicts = {
        budget: verdict([row.name for row in timed], [_log_side(row, key) for row in timed])
        for budget, key in BUDGETS.items()
        if all(row.values[key] is not None for row in timed)
    }
    comparison = verdicts["Tokens"]
    rows = [
        replace(row, values={**row.values, "rank": rank})
        for row, rank in zip_longest(rows, comparison.ranks)
    ]
    return Table(
        kind=KIND,
        title=f"{track['name']}: time to {track['target']:g} nats per token",
        caption="Validation loss along the learning curves, interpolated; a bound for diffusion.",
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=" ".join(f"{budget}: {made.sentence}" for budget, made in verdicts.items()),
        detail=f"{comparison.detail} Differences are those of logarithms.",
        best=comparison.best,
    )


def _row(entry: Entry, curves: Mapping[Path, Curve], target: float) -> Row:
    found = [(run, reached(curves[run.path], target)) for run in entry.records]
    times = [(run, time) for run, time in found if time is not None]
    values: dict[str, Value] = {
        "target_tokens": None,
        "target_runs": f"{len(times)} of {len(found)}",
    }
    if len(times) == len(found):
        values |= {
            "target_tokens": pooled([(time.tokens, time.tokens_stderr) for _, time in times]),
            "target_flops": _flops(times),
            "target_seconds": pooled([(time.seconds, time.seconds_stderr) for _, time in times]),
        }
    return Row(entry.name, values, tuple(entry.records))


def _flops(times: Sequence[tuple[Record, Reached]]) -> Measure | None:
    """Operations by then: those of a token are the same at every step."""
    pairs = []
    for run, time in times:
        flops, tokens = run.metrics.get("train_flops"), run.training["tokens"]
        if flops is None or not tokens:
            return None
        pairs.append((time.tokens * flops / tokens, time.tokens_stderr * flops / tokens))
    return pooled(pairs)


def _log_side(row: Row, key: str) -> Side:
    """The side of a comparison of logarithms, where relative errors are errors."""
    value = row.values[key]
    assert isinstance(value, Measure)
    noise = None if value.stderr is None else value.stderr / value.mean
    deviation = None if value.deviation is None else value.deviation / value.mean
    return Side(math.log(value.mean), noise, deviation, value.n)
