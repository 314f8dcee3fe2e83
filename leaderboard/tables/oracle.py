"""Tables of what samplers lose on a language whose truth is known."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.records import Record
from leaderboard import format, labels
from leaderboard.aggregate import Entry, Runs, by_time, mean_also, pool, pooled
from leaderboard.claims import distinct
from leaderboard.significance import losing
from leaderboard.table import Column, Measure, Row, Table, Value, filled
from leaderboard.tables.samples import sampler_of

LOSSES = {  # of a record, by their keys here
    "kl_1": "KL of symbols",
    "kl_2": "KL of pairs",
    "kl_3": "KL of triples",
    "tv_1": "TV of symbols",
    "tv_2": "TV of pairs",
    "tv_3": "TV of triples",
}
COLUMNS = (
    Column("lost", "excess_nats_per_symbol", format.measure, "nats"),
    Column("network", "network", format.words),
    Column("sampler", "sampler", format.words),
    *(
        Column(title, key, format.measure, "nats" if key.startswith("kl") else "")
        for key, title in LOSSES.items()
    ),
    Column("calls", "network_evaluations", format.amount),
    Column("seconds", "seconds", format.short, "s"),
    Column("deviation", "excess_nats_per_symbol", format.seeds),
)
LEGEND = (
    "Lost: nats per symbol beyond true texts of the language, ± one standard error; KL and TV: "
    "divergences of n-grams beyond those of true texts. The perfect network knows the language: "
    "with it all that is lost is the sampler's."
)


def oracles(records: Sequence[Record], runs: Runs) -> list[Table]:
    """One for each language, length and number of texts, by title."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        fields = record.fields
        if fields["metric"] == "oracle":
            about = [fields["data"], fields["protocol"].get("length"), fields["count"]]
            groups[record_schema.digest(about)].append(record)
    tables = [_table(group, runs) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def _table(group: Sequence[Record], runs: Runs) -> Table:
    entries = runs.entries(group, lambda one: [sampler_of(one), one.fields["network"]["name"]])
    entries.sort(key=lambda entry: (entry.conflict, pool(entry.records).mean))
    rows, fields = [_row(entry) for entry in entries], group[0].fields
    agreed = [row for row in rows if not row.conflict]
    return Table(
        kind="oracle",
        title=_title(fields),
        caption=f"{labels.language(fields)} {LEGEND}",
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=f"{_sentence(agreed)}{labels.conflicts(entries)}",
    )


def _row(entry: Entry) -> Row:
    own, fields = entry.records, entry.records[0].fields
    losses = {key: _loss(own, key) for key in LOSSES}
    values: dict[str, Value] = {key: loss for key, loss in losses.items() if loss is not None}
    values |= {
        "excess_nats_per_symbol": pool(own),
        "network": fields["network"]["name"],
        "sampler": labels.drawn(fields, fields["protocol"].get("length")),
        "network_evaluations": mean_also(own, "network_evaluations"),
        "seconds": mean_also(own, "seconds"),
    }
    return Row(entry.name, values, tuple(own), entry.conflict)


def _loss(runs: Sequence[Record], key: str) -> Measure | None:
    found = [run.fields["metrics"].get("losses", {}).get(key) for run in runs]
    pairs = [(one["excess"], one["stderr"]) for one in found if one is not None]
    return pooled(pairs) if pairs else None


def _sentence(rows: Sequence[Row]) -> str:
    """Which rows lose anything."""
    lost = [row.values["excess_nats_per_symbol"] for row in rows]
    measures = [one for one in lost if isinstance(one, Measure)]
    names = [f"{row.name} with {row.values['sampler']} ({row.values['network']})" for row in rows]
    labels = distinct(names)
    real = [label for label, loses in zip(labels, losing(measures), strict=True) if loses]
    rule = (
        f"Real: above two standard errors, and by Holm's procedure over all {len(rows)} rows a "
        "chance below 5 % that any such claim is false."
    )
    if not real:
        return f"No loss is real: this many texts show none. {rule}"
    if len(real) == len(rows):
        return f"Every loss is real. {rule}"
    return f"Real losses: {'; '.join(real)}. The others show none. {rule}"


def _title(fields: Mapping[str, Any]) -> str:
    length, texts = fields["protocol"].get("length"), fields["count"]
    return f"{fields['data']['name']}: lost in sampling, {texts:,} texts, length {length}"
