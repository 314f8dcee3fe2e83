"""Tables of speed and memory: one for each machine, network size and length."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import format, labels
from leaderboard.aggregate import Entry, Runs, by_time, mean_also, mean_trained
from leaderboard.table import Column, Row, Table, Value, filled
from leaderboard.tables.perplexity import newest_samples

COLUMNS = (
    Column("trained, tokens/s", "training_speed", format.amount, "tokens/s"),
    Column("training", "training_time", format.duration, "s"),
    Column("training peak", "training_peak_memory", format.size, "bytes"),
    Column("drawn, tokens/s", "sampling_speed", format.amount, "tokens/s"),
    Column("calls", "network_evaluations", format.amount),
    Column("drawing peak", "sampling_peak_memory", format.size, "bytes"),
    Column("evaluation", "evaluation_time", format.duration, "s"),
    Column("evaluation peak", "evaluation_peak_memory", format.size, "bytes"),
    Column("params", "parameters", format.amount),
    Column("sampler", "sampler", format.words),
)
LEGEND = (
    "Times and peaks are what one command measured of itself, on this machine and beside whatever "
    "else ran there. Peaks are of memory. Drawn: the newest "
    "samples of the same checkpoint on the same machine."
)
SENTENCE = (
    "Speeds of single commands have no standard error: differences of some per cent mean nothing, "
    "and no row is bold."
)
TRAINED = "train_peak_memory_bytes"
MACHINE = ("cpu", "threads", "gpu", "gpus")


def costs(records: Sequence[Record], runs: Runs) -> list[Table]:
    """Of the runs whose likelihood was measured, by title."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in by_time(records):
        if record.fields["metric"] == "ppl" and record.fields["metrics"].get("train_seconds"):
            groups[record_schema.digest(_shared(record.fields))].append(record)
    sampled = newest_samples(records)
    tables = [_table(group, runs, sampled) for group in groups.values()]
    return sorted(tables, key=lambda table: (table.title, table.caption))


def _shared(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What speeds must share to be comparable."""
    config = fields["config"]
    return {
        "machine": _machine(fields),
        "network": fields["network"]["name"],
        "length": config.get("model", {}).get("length"),
        "batch": config.get("loader", {}).get("global_batch_size"),
        "precision": config.get("trainer", {}).get("precision"),
        "tokenizer": fields["protocol"].get("tokenizer"),
    }


def _machine(fields: Mapping[str, Any]) -> list[Any]:
    return [fields["hardware"].get(key) for key in MACHINE]


def _table(group: Sequence[Record], runs: Runs, sampled: Mapping[str, Record]) -> Table:
    newest = {record.fields["training"]["checkpoint_digest"]: record for record in group}
    entries = [entry for entry in runs.entries(list(newest.values())) if not entry.conflict]
    rows = sorted((_row(entry, sampled) for entry in entries), key=lambda row: row.name)
    shared = _shared(group[0].fields)
    hardware = labels.machine(group[0].fields["hardware"])
    known = {key: value for key, value in shared.items() if value is not None}
    parts = [f"{key} {known[key]}" for key in ("network", "length", "tokenizer") if key in known]
    parts += [f"{known['batch']} texts a step"] if "batch" in known else []
    parts.append(f"precision {known.get('precision', 'by device')}")
    return Table(
        kind="cost",
        title=f"cost: {shared['network']} on {hardware}",
        caption=f"{one_line(', '.join(parts))}. {LEGEND}",
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=SENTENCE,
    )


def _row(entry: Entry, sampled: Mapping[str, Record]) -> Row:
    own, fields = entry.records, entry.records[0].fields
    drawn = [sampled.get(run.fields["training"]["checkpoint_digest"]) for run in own]
    here = [one for one in drawn if one is not None and _machine(one.fields) == _machine(fields)]
    seconds, tokens = mean_also(own, "train_seconds"), mean_trained(own, "tokens")
    values: dict[str, Value] = {
        "training_speed": tokens / seconds if tokens and seconds else None,
        "training_time": seconds,
        "training_peak_memory": _most(run.fields["metrics"].get(TRAINED) for run in own),
        "evaluation_time": sum(run.fields["wall_time_s"] for run in own) / len(own),
        "evaluation_peak_memory": max(run.fields["peak_memory_bytes"] for run in own),
        "sampling_speed": mean_also(here, "tokens_per_second"),
        "sampling_peak_memory": _most(one.fields["peak_memory_bytes"] for one in here),
        "network_evaluations": mean_also(here, "network_evaluations"),
        "parameters": fields["network"]["parameters"],
        "sampler": " or ".join(sorted({labels.drawn(one.fields, None) for one in here})),
    }
    return Row(entry.name, values, (*own, *here))


def _most(values: Iterable[int | None]) -> int | None:
    """The largest that is known."""
    return max((value for value in values if value is not None), default=None)
