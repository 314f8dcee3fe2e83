"""Which records may stand in one table, and what each row of it says."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation import schema, wording
from evaluation.records import Record

# What says where and how a run was made or measured, not what was trained.
NOT_THE_RECIPE = {
    "checkpointing",
    "eval",
    "hydra",
    "mode",
    "oracle",
    "protocol",
    "results_dir",
    "sampling",
    "seed",
    "wandb",
}


@dataclass(frozen=True)
class Pooled:
    """Mean over runs with its standard error, and the deviation between them where n > 1."""

    mean: float
    stderr: float | None
    deviation: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """One algorithm under one configuration, over all its seeds. None is not known."""

    name: str
    is_bound: bool
    perplexity: Pooled
    bits_per_byte: float | None
    entropy: Pooled | None
    reference_entropy: float | None
    distinct_2: float | None
    sampler: str
    network_evaluations: float | None
    parameters: int
    tokens: int | None
    steps: int | None
    train_seconds: float | None


@dataclass(frozen=True)
class Table:
    """Rows of one protocol on one text, best perplexity first.

    `first_stands_out`: two standard errors of the difference separate the first row from every
    other, so that a reader may take it for the best.
    """

    title: str
    caption: str
    rows: tuple[Row, ...]
    first_stands_out: bool


def compare(records: Sequence[Record]) -> list[Table]:
    """One table for each likelihood protocol and text among `records`, by title.

    ValueError without a perplexity among them.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in _by_time(records):
        if record.fields["metric"] == "ppl":
            groups[_measured_on(record.fields)].append(record)
    if not groups:
        raise ValueError("no record of a perplexity: run python main.py mode=benchmark first")
    samples = _newest_samples(records)
    tables = [_table(group, samples) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def _measured_on(fields: dict[str, Any]) -> str:
    """Two records with the same one are comparable: protocol, text, tokenizer, length."""
    data = fields["data"]
    settings = {**data, **fields["protocol"]}
    about = [settings.get("tokenizer"), settings.get("length")]
    return schema.digest([fields["protocol_digest"], data["name"], data["digest"], *about])


def _recipe(fields: dict[str, Any]) -> dict[str, Any]:
    """What repeated runs have in common."""
    return {
        "algo": fields["algo"],
        "kind": fields["kind"],
        "network": fields["network"],
        "steps": fields["training"]["steps"],
        "tokens": fields["training"]["tokens"],
        "config": _config(fields),
    }


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: value for k, value in fields["config"].items() if k not in NOT_THE_RECIPE}


def _table(records: Sequence[Record], sampled: dict[str, Record]) -> Table:
    """`records` in order of time, all of one protocol."""
    recipes: dict[str, dict[Any, Record]] = defaultdict(dict)
    for record in records:
        run = record.fields["seed"], record.fields["training"]["checkpoint_digest"]
        recipes[schema.digest(_recipe(record.fields))][run] = record  # the newest of a rerun
    groups = [list(runs.values()) for runs in recipes.values()]
    names = wording.names([(group[0].fields["algo"], _config(group[0].fields)) for group in groups])
    rows = [_row(name, group, sampled) for name, group in zip(names, groups, strict=True)]
    rows.sort(key=lambda row: row.perplexity.mean)
    fields = records[0].fields
    return Table(wording.title(fields), wording.caption(fields), tuple(rows), _stands_out(rows))


def _row(name: str, runs: Sequence[Record], sampled: dict[str, Record]) -> Row:
    fields = runs[0].fields
    length = fields["protocol"].get("length")
    checkpoints = {run.fields["training"]["checkpoint_digest"] for run in runs} - {None}
    samples = [sampled[checkpoint] for checkpoint in sorted(checkpoints & sampled.keys())]
    return Row(
        name=name,
        is_bound=fields["kind"] == "upper bound",
        perplexity=_pool(runs),
        bits_per_byte=_also(runs, "bits_per_byte"),
        entropy=_pool(samples) if samples else None,
        reference_entropy=_also(runs, "reference_entropy"),
        distinct_2=_also(samples, "distinct_2"),
        sampler=" or ".join(sorted({wording.sampler(one.fields, length) for one in samples})),
        network_evaluations=_also(samples, "network_evaluations"),
        parameters=fields["network"]["parameters"],
        tokens=fields["training"]["tokens"],
        steps=fields["training"]["steps"],
        train_seconds=_also(runs, "train_seconds"),
    )


def _newest_samples(records: Iterable[Record]) -> dict[str, Record]:
    """The newest sample record, one with an entropy, of every checkpoint."""
    return {
        record.fields["training"]["checkpoint_digest"]: record
        for record in _by_time(records)
        if record.fields["metric"] == "entropy"
    }


def _by_time(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: schema.moment(record.fields))


def _pool(runs: Sequence[Record]) -> Pooled:
    """Mean over runs; its error is the larger of what the runs state and how they differ."""
    values = [float(run.fields["value"]) for run in runs]
    errors = [run.fields["stderr"] for run in runs if run.fields["stderr"] is not None]
    stated = math.hypot(*errors) / len(runs) if len(errors) == len(runs) else None
    if len(runs) == 1:
        return Pooled(values[0], stated, None, 1)
    deviation = statistics.stdev(values)
    stderr = max(stated or 0.0, deviation / math.sqrt(len(runs)))
    return Pooled(statistics.fmean(values), stderr, deviation, len(runs))


def _also(runs: Iterable[Record], name: str) -> float | None:
    values = [run.fields["also"].get(name) for run in runs]
    known = [float(value) for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _stands_out(rows: Sequence[Row]) -> bool:
    if len(rows) < 2 or any(row.perplexity.stderr is None for row in rows):
        return False
    first = rows[0].perplexity
    return all(
        row.perplexity.mean - first.mean
        > 2 * math.hypot(first.stderr or 0.0, row.perplexity.stderr or 0.0)
        for row in rows[1:]
    )
