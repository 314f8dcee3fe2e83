"""The table of repeated text: the validation loss after so many passes over the training text, and
from where on diffusion stays below AR."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.record_files import Curve
from evaluation.records import Record
from leaderboard.aggregate import Entry, pooled
from leaderboard.format import bound, measure, measured_amount
from leaderboard.significance import side, significant_pairs
from leaderboard.table import BASELINE, Column, Measure, Row, Table, Value, filled, place
from leaderboard.tracks.readings import Loss, loss_at, lowest, overtaken

KIND = "epochs"
COLUMNS = (
    Column("lowest", "lowest", measure, "validation loss at its lowest point", "nats"),
    Column("at epoch", "lowest_epoch", measure, "passes over the text until then"),
    Column("below AR from", "overtakes", measure, "the epoch from which on, to the end"),
    Column("FLOPs then", "overtakes_flops", measured_amount, "of training until that epoch"),
)
Curves = Mapping[Path, Curve]


def table(entries: Sequence[Entry], curves: Curves, track: Mapping[str, Any]) -> Table:
    """A column for each number of passes, the last the whole training; the lowest curve first."""
    epochs = track["epochs"]
    base = next((entry for entry in entries if entry.records[0].algo == BASELINE), None)
    rows = [_row(entry, base, curves, epochs) for entry in entries]
    rows.sort(key=lambda row: (place(row.values["lowest"]), row.name))
    read = tuple(
        Column(f"{epoch} ep.", _key(epoch), bound, f"loss after {epoch} epochs", "nats")
        for epoch in epochs
    )
    return Table(
        kind=KIND,
        title=f"{track['name']}: validation loss, nats per token, after so many epochs",
        caption="Read from the learning curves, interpolated; a bound for diffusion.",
        columns=filled((*COLUMNS, *read), rows),
        rows=tuple(rows),
        sentence=_verdict(rows, epochs[-1]),
        detail="Errors of losses are those of new text or of seeds, the larger one.",
    )


def _row(entry: Entry, base: Entry | None, curves: Curves, epochs: Sequence[int]) -> Row:
    runs = entry.records
    is_bound = any(run.kind == "upper bound" for run in runs)

    def pool(read: Callable[[Record], Loss | None]) -> Measure | None:
        losses = [loss for loss in map(read, runs) if loss is not None]
        return pooled(losses, is_bound) if len(losses) == len(runs) else None

    def after(epoch: int) -> Measure | None:
        return pool(lambda run: loss_at(curves[run.path], epoch * _epoch(run, epochs)))

    values: dict[str, Value] = {_key(epoch): after(epoch) for epoch in epochs}
    values["lowest"] = pool(lambda run: lowest(curves[run.path])[1])
    places = [lowest(curves[run.path])[0] / _epoch(run, epochs) for run in runs]
    values["lowest_epoch"] = pooled([(place, None) for place in places])
    row = Row(entry.name, values, tuple(runs))
    return row if base is None or entry is base else _beside(row, base, curves, epochs)


def _beside(row: Row, base: Entry, curves: Curves, epochs: Sequence[int]) -> Row:
    """The row with the epoch from which on its runs stay below those of AR of the same seeds; none
    where one of them does not end below."""
    rivals = {run.seed: curves[run.path] for run in base.records}
    found, flops = [], []
    for run in row.records:
        rival, curve = rivals.get(run.seed), curves[run.path]
        if rival is None or rival.tokens != curve.tokens:
            return row
        tokens = overtaken(curve, rival)
        if tokens is None:
            return row
        found.append((tokens / _epoch(run, epochs), None))
        spent = run.metrics.get("train_flops")
        flops += [] if spent is None else [(spent * tokens / run.training["tokens"], None)]
    more: dict[str, Value] = {"overtakes": pooled(found)}
    more["overtakes_flops"] = pooled(flops) if len(flops) == len(found) else None
    return replace(row, values={**row.values, **more})


def _verdict(rows: Sequence[Row], last: int) -> str:
    """Which rows are really below AR after the last epoch, and which at their lowest points."""
    at_end, at_best = (_below(rows, key) for key in (_key(last), "lowest"))
    if at_end is None or at_best is None:
        return "Without a row of AR there is nothing to overtake."
    seeds = min(len(row.records) for row in rows)
    return (
        f"Really below AR after {last} epochs: {', '.join(at_end) or 'none'}; at the lowest points "
        f"of all curves: {', '.join(at_best) or 'none'} ({seeds} seeds)."
    )


def _below(rows: Sequence[Row], key: str) -> list[str] | None:
    """The rows whose value is really below that of AR, among all pairs of rows; None without AR."""
    valued = [(row, value) for row in rows if isinstance(value := row.values[key], Measure)]
    valued.sort(key=lambda pair: pair[1].mean)
    base = [n for n, (row, _) in enumerate(valued) if row.records[0].algo == BASELINE]
    if len(base) != 1:
        return None
    real = significant_pairs([side(value) for _, value in valued])
    return [valued[n][0].name for n in range(base[0]) if real[n, base[0]]]


def _epoch(run: Record, epochs: Sequence[int]) -> float:
    """The tokens of an epoch."""
    tokens: int = run.training["tokens"]
    return tokens / epochs[-1]


def _key(epoch: int) -> str:
    return f"epoch_{epoch}"
