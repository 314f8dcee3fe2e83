"""Tables of perplexities: one for each protocol and text."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation import record_schema
from evaluation.record_files import Sequences, mean_over_runs
from evaluation.records import Record
from leaderboard import format, labels
from leaderboard.aggregate import Entry, Runs, by_time, mean_also, mean_trained, pool, pooled
from leaderboard.claims import claim
from leaderboard.published import match
from leaderboard.published.results import Published
from leaderboard.run_key import chosen
from leaderboard.significance import Side
from leaderboard.table import Column, Measure, Row, Table, Value, filled

PAIRED = 1e-6  # nats per token by which sequences may miss the value of their record

COLUMNS = (
    Column("perplexity", "perplexity", format.measure),
    Column("deviation", "perplexity", format.seeds),
    Column("bits/byte", "bits_per_byte", format.bound, "bits"),
    Column("published", "published_perplexity", format.measure),
    Column("off by", "off_published", format.percent),
    Column("entropy", "entropy", format.measure, "nats"),
    Column("of text", "reference_entropy", format.fixed, "nats"),
    Column("distinct-2", "distinct_2", format.fixed),
    Column("sampler", "sampler", format.words),
    Column("calls", "network_evaluations", format.amount),
    Column("params", "parameters", format.amount),
    Column("tokens", "training_tokens", format.amount),
    Column("steps", "training_steps", format.count),
    Column("training", "training_time", format.duration, "s"),
)
LEGEND = (
    "≤ marks an upper bound, ± one standard error; deviation is that between n seeds. Bold: apart "
    "from every other row. Entropy, distinct-2, sampler and network calls are those of the newest "
    "samples of the same checkpoint."
)
PUBLISHED = (
    " Published: a paper's number under the same protocol, data and network size; off by: how far "
    "ours is above it."
)


def measured_on(fields: Mapping[str, Any]) -> str:
    """Two records with the same one are comparable: protocol, text, tokenizer, length."""
    data = fields["data"]
    settings = {**data, **fields["protocol"]}
    about = [settings.get("tokenizer"), settings.get("length")]
    return record_schema.digest([fields["protocol_digest"], data["name"], data["digest"], *about])


def perplexities(
    records: Sequence[Record],
    runs: Runs,
    sequences: Mapping[Path, Sequences],
    published: Sequence[Published],
) -> list[Table]:
    """By title."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        if record.fields["metric"] == "ppl":
            groups[measured_on(record.fields)].append(record)
    sampled = newest_samples(records)
    tables = [_table(group, runs, sampled, sequences, published) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def newest_samples(records: Sequence[Record]) -> dict[str, Record]:
    """The newest sample record, one with an entropy, of every checkpoint."""
    return {
        record.fields["training"]["checkpoint_digest"]: record
        for record in by_time(records)
        if record.fields["metric"] == "samples"
    }


def beside(
    record: Record, runs: Runs, published: Sequence[Published]
) -> tuple[Published, float] | None:
    """The published row that has the protocol of `record`, and its number as a perplexity."""
    fields = record.fields
    settings = chosen(fields, runs.usual(fields))
    rows = [row for row in published if match.same_algorithm(row, fields)]
    found = match.best([row for row in rows if not match.apart(row, fields, settings)])
    if found is None:
        return None
    return found, 2**found.value if found.metric == "bpc" else found.value


def _table(
    group: Sequence[Record],
    runs: Runs,
    sampled: Mapping[str, Record],
    sequences: Mapping[Path, Sequences],
    published: Sequence[Published],
) -> Table:
    entries = runs.entries(group)
    entries.sort(key=lambda entry: (entry.conflict, pool(entry.records).mean))
    rows = [_row(entry, runs, sampled, published) for entry in entries]
    agreed = [entry for entry in entries if not entry.conflict]
    sides = [_side(entry, sequences) for entry in agreed]
    sentence, apart = claim([entry.name for entry in agreed], sides)
    columns, fields = filled(COLUMNS, rows), group[0].fields
    about = LEGEND + (PUBLISHED if "off_published" in {c.key for c in columns} else "")
    return Table(
        kind="perplexity",
        title=labels.title(fields),
        caption=f"{labels.caption(fields)} {about}",
        columns=columns,
        rows=tuple(rows),
        sentence=f"{sentence}{labels.conflicts(entries)}",
        first_stands_out=apart and len(agreed) == len(entries),
    )


def _row(
    entry: Entry, runs: Runs, sampled: Mapping[str, Record], published: Sequence[Published]
) -> Row:
    own, fields = entry.records, entry.records[0].fields
    checkpoints = {run.fields["training"]["checkpoint_digest"] for run in own} - {None}
    samples = [sampled[one] for one in sorted(checkpoints & sampled.keys())]
    length, perplexity = fields["protocol"].get("length"), pool(own)
    values: dict[str, Value] = {
        "perplexity": perplexity,
        "bits_per_byte": _bits(own, perplexity.is_bound),
        "entropy": pool(samples) if samples else None,
        "reference_entropy": mean_also(own, "reference_entropy"),
        "distinct_2": mean_also(samples, "distinct_2"),
        "sampler": " or ".join(sorted({labels.sampler(one.fields, length) for one in samples})),
        "network_evaluations": mean_also(samples, "network_evaluations"),
        "parameters": fields["network"]["parameters"],
        "training_tokens": mean_trained(own, "tokens"),
        "training_steps": mean_trained(own, "steps"),
        "training_time": mean_also(own, "train_seconds"),
    }
    match = beside(own[0], runs, published)
    if match is not None:
        values["published_perplexity"] = Measure(match[1], None, is_bound=match[0].bound)
        values["off_published"] = perplexity.mean / match[1] - 1
    return Row(entry.name, values, (*own, *samples), entry.conflict)


def _bits(runs: Sequence[Record], is_bound: bool) -> Measure | None:
    """Bits per byte, whose error is to them what that of the nats is to the nats."""
    pairs = []
    for fields in (run.fields for run in runs):
        bits, error, nats = fields["metrics"].get("bits_per_byte"), _relative(fields), _nats(fields)
        if bits is not None:
            pairs.append((bits, abs(bits / nats) * error if nats and error is not None else None))
    return pooled(pairs, is_bound) if pairs else None


def _side(entry: Entry, sequences: Mapping[Path, Sequences]) -> Side:
    """In nats per token, where differences are those of the logarithms."""
    fields = [record.fields for record in entry.records]
    pairs = [(_nats(f), _relative(f)) for f in fields]
    nats = pooled(pairs)
    found = [sequences.get(record.path) for record in entry.records]
    exact = [
        one
        for one, (value, _) in zip(found, pairs, strict=True)
        if one is not None and abs(one.nats.sum() / one.tokens.sum() - value) < PAIRED
    ]
    whole = mean_over_runs(exact) if len(exact) == len(found) else None
    return Side(nats.mean, nats.stderr, nats.deviation, nats.n, whole)


def _nats(fields: Mapping[str, Any]) -> float:
    """Per token."""
    return math.log(fields["value"])


def _relative(fields: Mapping[str, Any]) -> float | None:
    return None if fields["stderr"] is None else fields["stderr"] / fields["value"]
