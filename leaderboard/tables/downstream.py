"""Tables of downstream tasks: one for each task and its protocol."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from evaluation.records import Record
from leaderboard import labels
from leaderboard.aggregate import Entry, Runs, by_mean, pool_values, pooled
from leaderboard.format import measure, seeds, share
from leaderboard.significance import side
from leaderboard.table import Column, Row, Table, Value, filled
from leaderboard.verdict import of_entries

LOWER_IS_BETTER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
UNDECIDED = "share of questions whose likeliest answer leads by less than two of its errors"


def shared(record: Record) -> Any:
    """The key of comparable results of a task, None for a record of anything else."""
    if not record.metrics.get("task_metrics") or "answers" not in record.metrics:
        return None
    return [record.metric, record.protocol_digest, record.data, record.count]


def table(group: Sequence[Record], runs: Runs) -> Table:
    first = group[0]
    sign = 1 if first.metric.partition(",")[0] in LOWER_IS_BETTER else -1
    entries = by_mean(runs.entries(group), sign)
    rows = [_row(entry) for entry in entries]
    comparison = of_entries(entries, lambda entry: side(pool_values(entry.records)))
    return Table(
        kind="downstream",
        title=f"{first.data['name']}: {first.metric}, {first.count:,} questions",
        caption=labels.caption(first),
        columns=filled(_columns(group), rows),
        rows=tuple(rows),
        sentence=f"{comparison.sentence}{labels.conflicts(entries)}",
        detail=comparison.detail,
        best=comparison.best,
    )


def _columns(group: Sequence[Record]) -> tuple[Column, ...]:
    main = group[0].metric
    names = {name for record in group for name in record.metrics["task_metrics"]} - {main}
    return (
        Column(main, main, measure),
        *(Column(name, name, measure) for name in sorted(names)),
        Column("undecided", "undecided", share, UNDECIDED),
        Column("deviation", main, seeds, "standard deviation between n seeds"),
    )


def _row(entry: Entry) -> Row:
    main = entry.records[0].metric
    metrics = [record.metrics["task_metrics"] for record in entry.records]
    names = set().union(*metrics) - {main}
    values: dict[str, Value] = {
        name: pooled([of_run[name] for of_run in metrics if name in of_run]) for name in names
    }
    likelihoods = [record.metrics.get("log_likelihoods") or {} for record in entry.records]
    shares = [errors["undecided"] for errors in likelihoods if errors.get("undecided") is not None]
    values |= {main: pool_values(entry.records), "undecided": fmean(shares) if shares else None}
    return Row(entry.name, values, tuple(entry.records), entry.conflict)
