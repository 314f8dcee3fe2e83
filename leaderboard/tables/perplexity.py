"""Tables of perplexities: one for each protocol and text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation import record_schema
from evaluation.fields import ORDER, UNDER
from evaluation.record_files import Sequences, mean_over_runs
from evaluation.records import Record
from leaderboard import labels
from leaderboard.aggregate import (
    Entry,
    Runs,
    by_mean,
    mean_metric,
    mean_trained,
    pool_values,
    pooled,
)
from leaderboard.format import (
    amount,
    bound,
    count,
    duration,
    evaluations,
    factor,
    measure,
    percent,
    seeds,
    stated,
)
from leaderboard.published import match
from leaderboard.published.results import Published
from leaderboard.significance import Side
from leaderboard.table import BASELINE, Column, Measure, Row, Table, Value, filled
from leaderboard.verdict import of_entries

ORDERED = "ordered_ppl"  # the metric of the likelihoods of orders
PAIRED = 1e-6  # nats per token by which sequences may miss the value of their record

COLUMNS = (
    Column("perplexity", "perplexity", measure, "exp of nats per token; diffusion: a bound"),
    Column("under an order", "ordered", measure, "exact for a sampler in that order"),
    Column("NFE", "network_evaluations", evaluations, "evaluations a text, of an order"),
    Column("rank", "rank", count, "among diffusion; shared where not really different"),
    Column("over AR", "over_ar", factor, "perplexity divided by that of AR"),
    Column("bits/byte", "bits_per_byte", bound, "bits per byte of the text", "bits"),
    Column("deviation", "perplexity", seeds, "standard deviation between n seeds"),
    Column("published", "published_perplexity", stated, "a paper's, same protocol and size"),
    Column("off by", "off_published", percent, "how far ours is above it"),
    Column("training", "training_time", duration, "wall time of the training", "s"),
    Column("tokens", "training_tokens", amount, "training tokens"),
    Column("params", "parameters", amount, "parameters of the network"),
    Column("steps", "training_steps", count, "optimizer steps"),
)


def shared(record: Record) -> Any:
    """The key of comparable records: protocol, text, tokenizer, length; the likelihoods of orders
    stand beside those of the model."""
    if record.metric not in ("ppl", ORDERED):
        return None
    settings = {**record.data, **record.protocol}
    protocol = {key: value for key, value in record.protocol.items() if key != ORDER}
    about = [settings.get("tokenizer"), settings.get("length")]
    return [record_schema.digest(protocol)[:12], record.data["name"], record.data["digest"], *about]


def table(
    group: Sequence[Record],
    runs: Runs,
    sequences: Mapping[Path, Sequences],
    papers: Sequence[Published],
) -> Table:
    entries = by_mean(runs.entries([one for one in group if one.metric != ORDERED]))
    orders = by_mean(runs.entries([one for one in group if one.metric == ORDERED]))
    comparison = of_entries(entries, lambda entry: _side(entry, sequences))
    rows = [_row(entry, runs, papers) for entry in entries]
    rows = [
        replace(row, values={**row.values, "rank": rank, "over_ar": _over_ar(row, rows)})
        for row, rank in zip(rows, comparison.ranks, strict=True)
    ]
    rows += map(_ordered_row, orders)
    return Table(
        kind="perplexity",
        title=labels.title(group[0]),
        caption=labels.caption(group[0], without=(ORDER,)),
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=f"{comparison.sentence}{labels.conflicts([*entries, *orders])}",
        detail=comparison.detail,
        best=comparison.best,
    )


def _row(entry: Entry, runs: Runs, papers: Sequence[Published]) -> Row:
    first, perplexity = entry.records[0], pool_values(entry.records)
    values: dict[str, Value] = {
        "perplexity": perplexity,
        "bits_per_byte": _bits(entry.records, perplexity.is_bound),
        **_training(entry.records),
    }
    paper = match.published_beside(first, runs.changed(first), papers)
    if paper is not None:
        value = paper.perplexity
        values["published_perplexity"] = Measure(value, None, is_bound=paper.bound)
        values["off_published"] = perplexity.mean / value - 1
    return Row(entry.name, values, tuple(entry.records), entry.conflict)


def _ordered_row(entry: Entry) -> Row:
    """A row that is not ranked: its number is of a sampler, not of the model."""
    first, order = entry.records[0], entry.records[0].kind.removeprefix(UNDER)
    temperature = first.protocol[ORDER].get("temperature", 1)
    order += "" if temperature == 1 else f", temperature {temperature:g}"
    values: dict[str, Value] = {
        "ordered": pool_values(entry.records),
        "network_evaluations": mean_metric(entry.records, "network_evaluations"),
        "perplexity": None,
        "rank": None,
        **_training(entry.records),
    }
    return Row(f"{entry.name}, {order}", values, tuple(entry.records), entry.conflict)


def _training(runs: Sequence[Record]) -> dict[str, Value]:
    return {
        "parameters": runs[0].network["parameters"],
        "training_tokens": mean_trained(runs, "tokens"),
        "training_steps": mean_trained(runs, "steps"),
        "training_time": mean_metric(runs, "train_seconds"),
    }


def _over_ar(row: Row, rows: Sequence[Row]) -> Measure | None:
    """The perplexity divided by that of AR with as many training tokens, or else of the only AR."""
    rivals = [other for other in rows if other.records[0].algo == BASELINE and not other.conflict]
    tokens = row.values["training_tokens"]
    rivals = [other for other in rivals if other.values["training_tokens"] == tokens] or rivals
    if len(rivals) != 1 or row.conflict or row.records[0].algo == BASELINE:
        return None
    value, base = row.values["perplexity"], rivals[0].values["perplexity"]
    assert isinstance(value, Measure) and isinstance(base, Measure)
    ratio = value.mean / base.mean
    error = math.hypot((value.stderr or 0.0) / value.mean, (base.stderr or 0.0) / base.mean)
    return Measure(ratio, ratio * error, is_bound=value.is_bound)


def _bits(runs: Sequence[Record], is_bound: bool) -> Measure | None:
    """Bits per byte; their relative error is that of the nats."""
    pairs = []
    for run in runs:
        bits, error, nats = run.metrics.get("bits_per_byte"), _relative(run), math.log(run.value)
        if bits is not None:
            pairs.append((bits, abs(bits / nats) * error if nats and error is not None else None))
    return pooled(pairs, is_bound) if pairs else None


def _side(entry: Entry, sequences: Mapping[Path, Sequences]) -> Side:
    """The side of a comparison in nats per token, where differences are those of logarithms."""
    pairs = [(math.log(run.value), _relative(run)) for run in entry.records]
    nats = pooled(pairs)
    scored = [sequences.get(run.path) for run in entry.records]
    exact = [
        scores
        for scores, (value, _) in zip(scored, pairs, strict=True)
        if scores is not None and abs(scores.nats.sum() / scores.tokens.sum() - value) < PAIRED
    ]
    mean = mean_over_runs(exact) if len(exact) == len(scored) else None
    return Side(nats.mean, nats.stderr, nats.deviation, nats.n, mean)


def _relative(run: Record) -> float | None:
    return None if run.stderr is None else run.stderr / run.value
