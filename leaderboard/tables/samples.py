"""Tables of the quality of samples: generative perplexity and entropy stand beside each other, and
both beside held-out text."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import format, labels
from leaderboard.aggregate import Entry, Runs, by_time, mean_also, pool, pool_also
from leaderboard.claims import claim
from leaderboard.significance import side
from leaderboard.table import Column, Measure, Row, Table, Value, filled

COLUMNS = (
    Column("gen. ppl", "generative_perplexity", format.measure),
    Column("entropy", "entropy", format.measure, "nats"),
    Column("divergence", "divergence", format.measure, "nats"),
    Column("distinct-2", "distinct_2", format.measure),
    Column("sampler", "sampler", format.words),
    Column("calls", "network_evaluations", format.amount),
    Column("seconds", "seconds_per_text", format.short, "s"),
    Column("text's gen. ppl", "reference_generative_perplexity", format.fixed),
    Column("text's entropy", "reference_entropy", format.fixed, "nats"),
    Column("text's distinct-2", "reference_distinct_2", format.fixed),
    Column("repetition", "repetition", format.measure),
    Column("two-sample acc.", "two_sample_accuracy", format.measure),
    Column("MAUVE", "mauve", format.measure),
    Column("train overlap", "train_overlap", format.measure),
    Column("deviation", "generative_perplexity", format.seeds),
)
MEASURED = (
    "divergence",
    "distinct_2",
    "repetition",
    "two_sample_accuracy",
    "mauve",
    "train_overlap",
)
LEGEND = (
    "± one standard error over texts. The text's numbers are those of as many held-out texts of "
    "the same lengths. Calls and seconds are for one text. In order of divergence from held-out "
    "text, where it is known."
)
NO_BEST = (
    "No row is bold: lower generative perplexity at lower entropy is a lower temperature, not "
    "better text."
)


def drawn_for(record: Record) -> dict[str, Any]:
    """What samples must share to be comparable: corpus, tokenizer, length, number, what was given,
    judge and its protocol."""
    fields, metrics, protocol = record.fields, record.fields["metrics"], record.fields["protocol"]
    judge = metrics.get("gen_ppl_scorer") or {}
    return {
        "data": [fields["data"]["name"], fields["data"]["digest"]],
        "corpus": fields["training"].get("corpus"),
        "length": protocol.get("length"),
        "texts": fields["count"],
        "given": protocol.get("tasks"),
        "judge": judge.get("scorer_digest") or judge.get("scorer"),
        "quality": metrics.get("quality_protocol"),
    }


def sampler_of(record: Record) -> dict[str, Any]:
    """Its settings; what they cost is measured, no setting."""
    settings = record.fields["sampler"] or {}
    return {key: value for key, value in settings.items() if key != "network_evaluations"}


def samples(records: Sequence[Record], runs: Runs) -> list[Table]:
    """By title."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        if record.fields["metric"] == "samples":
            groups[record_schema.digest(drawn_for(record))].append(record)
    tables = [_table(group, runs) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def _table(group: Sequence[Record], runs: Runs) -> Table:
    entries = runs.entries(group, sampler_of)
    rows = [_row(entry) for entry in entries]
    order = sorted(range(len(rows)), key=lambda place: _rank(rows[place]))
    entries, rows = [entries[place] for place in order], [rows[place] for place in order]
    fields = group[0].fields
    return Table(
        kind="samples",
        title=_title(fields),
        caption=f"{_about(fields)} {LEGEND}",
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=f"{NO_BEST} {_judging(entries)}{_divergences(rows)}{labels.conflicts(entries)}",
    )


def _rank(row: Row) -> tuple[bool, float, float]:
    found = [row.values[key] for key in ("divergence", "generative_perplexity")]
    divergence, judged = (one.mean if isinstance(one, Measure) else math.inf for one in found)
    return row.conflict, divergence, judged


def _row(entry: Entry) -> Row:
    own, first = entry.records, entry.records[0].fields
    length = first["protocol"].get("length")
    seconds = [
        one.fields["metrics"]["seconds"] / one.fields["count"]
        for one in own
        if one.fields["metrics"].get("seconds") is not None
    ]
    values: dict[str, Value] = {name: pool_also(own, name) for name in MEASURED}
    values |= {
        "generative_perplexity": pool_also(own, "gen_ppl"),
        "entropy": pool(own),
        "sampler": labels.drawn(first, length),
        "network_evaluations": mean_also(own, "network_evaluations"),
        "seconds_per_text": sum(seconds) / len(seconds) if seconds else None,
        "reference_generative_perplexity": mean_also(own, "reference_gen_ppl"),
        "reference_entropy": mean_also(own, "reference_entropy"),
        "reference_distinct_2": mean_also(own, "reference_distinct_2"),
    }
    return Row(entry.name, values, tuple(own), entry.conflict)


def _judging(entries: Sequence[Entry]) -> str:
    """A sentence for the rows whose own network is the judge."""
    own = [entry.name for entry in entries if any(map(_judges_itself, entry.records))]
    if not own:
        return ""
    return (
        f"The judge is {' and '.join(dict.fromkeys(own))} itself: its own samples are as likely to "
        f"it as it drew them, which says nothing against others. "
    )


def _judges_itself(record: Record) -> bool:
    judge = record.fields["metrics"].get("gen_ppl_scorer") or {}
    return judge.get("scorer_digest") == record.fields["training"]["checkpoint_digest"] is not None


def _divergences(rows: Sequence[Row]) -> str:
    """Which of them differ."""
    known = [
        (row, value)
        for row in rows
        if isinstance(value := row.values["divergence"], Measure) and not row.conflict
    ]
    if len(known) < 2:
        return "Fewer than two divergences: there is no difference to judge."
    names = [row.name for row, _ in known]
    if len(set(names)) < len(names):  # the same network by several samplers
        names = [f"{row.name}, {row.values['sampler']}" for row, _ in known]
    sentence, _ = claim(names, [side(value) for _, value in known])
    return f"Divergences: {sentence}"


def _title(fields: Mapping[str, Any]) -> str:
    length = fields["protocol"].get("length")
    parts = [f"{fields['data']['name']}: samples", f"{fields['count']:,} texts"]
    return ", ".join([*parts, *([f"length {length}"] if length else [])])


def _about(fields: Mapping[str, Any]) -> str:
    metrics = fields["metrics"]
    judge, quality = metrics.get("gen_ppl_scorer") or {}, metrics.get("quality_protocol") or {}
    parts = [f"Judged by {one_line(judge.get('scorer', 'a judge'))}" if judge else "No judge"]
    parts += [f"protocol {quality['name']}"] if "name" in quality else []
    given = fields["protocol"].get("tasks")
    return ", ".join([*parts, *([f"given texts {given[:12]}"] if given else [])]) + "."
