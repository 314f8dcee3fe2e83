"""Tables of the losses of samplers on a language whose distribution is known."""

from collections.abc import Sequence
from typing import Any

from evaluation.records import Record
from leaderboard import labels
from leaderboard.aggregate import Entry, Runs, by_mean, mean_metric, pool_values, pooled
from leaderboard.format import evaluations, measure, seeds, short, words
from leaderboard.significance import losing
from leaderboard.table import Column, Measure, Row, Table, Value, filled
from leaderboard.tables.samples import sampler_of
from leaderboard.verdict import numbered

NGRAMS = ("symbols", "pairs", "triples")
COLUMNS = (
    Column("lost", "excess_nats_per_symbol", measure, "per symbol beyond true texts", "nats"),
    Column("sampler", "sampler", words, "with the settings that are not neutral"),
    Column("network", "network", words, "perfect: all that is lost is the sampler's"),
    Column("NFE", "network_evaluations", evaluations, "network evaluations a text"),
    Column("seconds", "seconds", short, "of the sampling", "s"),
    *(
        Column(
            f"{divergence} of {ngrams}",
            f"{divergence.lower()}_{n}",
            measure,
            f"divergence of the {ngrams} beyond that of true texts",
            unit,
        )
        for divergence, unit in (("KL", "nats"), ("TV", ""))
        for n, ngrams in enumerate(NGRAMS, 1)
    ),
    Column("deviation", "excess_nats_per_symbol", seeds, "of lost between n seeds"),
)
LOSSES = [column.key for column in COLUMNS if column.key.startswith(("kl_", "tv_"))]


def shared(record: Record) -> Any:
    """The key of comparable losses: language, length, number of texts."""
    return [record.data, record.length, record.count] if record.metric == "oracle" else None


def table(group: Sequence[Record], runs: Runs) -> Table:
    found = runs.entries(group, lambda record: [sampler_of(record), record.network["name"]])
    entries = by_mean(found)
    rows, first = [_row(entry) for entry in entries], group[0]
    sentence, detail = _losses([row for row in rows if not row.conflict])
    return Table(
        kind="oracle",
        title=f"{first.data['name']}: lost in sampling, {first.count:,} texts, "
        f"length {first.length}",
        caption=labels.language(first),
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=f"{sentence}{labels.conflicts(entries)}",
        detail=detail,
    )


def _row(entry: Entry) -> Row:
    first = entry.records[0]
    losses = {key: _loss(entry.records, key) for key in LOSSES}
    values: dict[str, Value] = {key: loss for key, loss in losses.items() if loss is not None}
    values |= {
        "excess_nats_per_symbol": pool_values(entry.records),
        "network": first.network["name"],
        "sampler": labels.sampler_and_steps(first, first.length),
        "network_evaluations": mean_metric(entry.records, "network_evaluations"),
        "seconds": mean_metric(entry.records, "seconds"),
    }
    return Row(entry.name, values, tuple(entry.records), entry.conflict)


def _loss(runs: Sequence[Record], key: str) -> Measure | None:
    losses = [(run.metrics.get("losses") or {}).get(key) for run in runs]
    pairs = [(loss["excess"], loss["stderr"]) for loss in losses if loss is not None]
    return pooled(pairs) if pairs else None


def _losses(rows: Sequence[Row]) -> tuple[str, str]:
    """The verdict on which rows lose anything, and the statistics behind it."""
    values = [row.values["excess_nats_per_symbol"] for row in rows]
    is_real = losing([value for value in values if isinstance(value, Measure)])
    names = numbered(
        [f"{row.name} with {row.values['sampler']} ({row.values['network']})" for row in rows]
    )
    rule = (
        f"Real: above two standard errors, and by Holm's procedure over all {len(rows)} rows a "
        "chance below 5 % that any such claim is false."
    )
    if not any(is_real):
        return "No loss is real: this many texts show none.", rule
    if all(is_real):
        return "Every loss is real.", rule
    real = "; ".join(name for name, real in zip(names, is_real, strict=True) if real)
    return f"{sum(is_real)} of {len(rows)} losses are real.", f"Real losses: {real}. {rule}"
