"""Tables of downstream tasks: one for each task and the way it was asked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.records import Record
from leaderboard import format, labels
from leaderboard.aggregate import Entry, Runs, by_time, pool, pooled
from leaderboard.claims import claim
from leaderboard.significance import side
from leaderboard.table import Column, Row, Table, Value, filled

LOWER_IS_BETTER = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")
LEGEND = (
    "≤ marks an upper bound, ± one standard error over questions; undecided: the share of "
    "questions whose likeliest answer leads by less than two of its errors."
)


def is_downstream(fields: Mapping[str, Any]) -> bool:
    """Whether a record is of a task."""
    return (
        isinstance(fields["metrics"].get("task_metrics"), dict) and "answers" in fields["metrics"]
    )


def tasks(records: Sequence[Record], runs: Runs) -> list[Table]:
    """By title."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        fields = record.fields
        if is_downstream(fields):
            about = [fields["metric"], fields["protocol_digest"], fields["data"], fields["count"]]
            groups[record_schema.digest(about)].append(record)
    tables = [_table(group, runs) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def _table(group: Sequence[Record], runs: Runs) -> Table:
    fields, entries = group[0].fields, runs.entries(group)
    sign = 1 if fields["metric"].partition(",")[0] in LOWER_IS_BETTER else -1
    entries.sort(key=lambda entry: (entry.conflict, sign * pool(entry.records).mean))
    rows = [_row(entry) for entry in entries]
    agreed = [entry for entry in entries if not entry.conflict]
    sides = [side(pool(entry.records)) for entry in agreed]
    sentence, apart = claim([entry.name for entry in agreed], sides)
    return Table(
        kind="downstream",
        title=f"{fields['data']['name']}: {fields['metric']}, {fields['count']:,} questions",
        caption=f"{labels.caption(fields)} {LEGEND}",
        columns=filled(_columns(group), rows),
        rows=tuple(rows),
        sentence=f"{sentence}{labels.conflicts(entries)}",
        first_stands_out=apart and len(agreed) == len(entries),
    )


def _columns(group: Sequence[Record]) -> tuple[Column, ...]:
    main = group[0].fields["metric"]
    names = {name for record in group for name in record.fields["metrics"]["task_metrics"]} - {main}
    return (
        Column(main, main, format.measure),
        *(Column(name, name, format.measure) for name in sorted(names)),
        Column("undecided", "undecided", format.fixed),
        Column("deviation", main, format.seeds),
    )


def _row(entry: Entry) -> Row:
    own, main = entry.records, entry.records[0].fields["metric"]
    said = [record.fields["metrics"]["task_metrics"] for record in own]
    names = sorted({name for metrics in said for name in metrics} - {main})
    values: dict[str, Value] = {
        name: pooled([metrics[name] for metrics in said if name in metrics]) for name in names
    }
    known = [record.fields["metrics"].get("log_likelihoods") or {} for record in own]
    shares = [one["undecided"] for one in known if one.get("undecided") is not None]
    values |= {main: pool(own), "undecided": sum(shares) / len(shares) if shares else None}
    return Row(entry.name, values, tuple(own), entry.conflict)
