"""Tables of speed and memory: one for each machine, network size and length."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from evaluation.records import Record
from evaluation.words import one_line
from leaderboard import labels
from leaderboard.aggregate import Entry, Runs, mean_metric, mean_trained
from leaderboard.format import amount, duration, evaluations, size, words
from leaderboard.table import Column, Row, Table, Value, filled

COLUMNS = (
    Column("training tokens/s", "training_speed", amount, "of one command", "tokens/s"),
    Column("sampling tokens/s", "sampling_speed", amount, "of the newest samples here", "tokens/s"),
    Column("NFE", "network_evaluations", evaluations, "network evaluations a text"),
    Column("training", "training_time", duration, "wall time of the training", "s"),
    Column("training peak", "training_peak_memory", size, "of memory", "bytes"),
    Column("sampling peak", "sampling_peak_memory", size, "of memory", "bytes"),
    Column("evaluation", "evaluation_time", duration, "wall time of the likelihood", "s"),
    Column("evaluation peak", "evaluation_peak_memory", size, "of memory", "bytes"),
    Column("params", "parameters", amount, "parameters of the network"),
    Column("sampler", "sampler", words, "of the samples"),
)
SENTENCE = "Single commands have no standard error: differences of some per cent mean nothing."
TRAINED = "train_peak_memory_bytes"
MACHINE = ("cpu", "threads", "gpu", "gpus")


def shared(record: Record) -> Any:
    """The key of comparable speeds: machine, network, length, batch, precision, tokenizer."""
    if record.metric != "ppl" or not record.metrics.get("train_seconds"):
        return None
    return {"machine": _machine(record), **_setup(record)}


def _setup(record: Record) -> dict[str, Any]:
    config = record.config
    return {
        "network": record.network["name"],
        "length": config.get("model", {}).get("length"),
        "batch": config.get("loader", {}).get("global_batch_size"),
        "precision": config.get("trainer", {}).get("precision"),
        "tokenizer": record.protocol.get("tokenizer"),
    }


def _machine(record: Record) -> list[Any]:
    return [record.hardware.get(key) for key in MACHINE]


def table(group: Sequence[Record], runs: Runs, sampled: Mapping[str | None, Record]) -> Table:
    """`sampled` are the newest samples of every checkpoint."""
    newest = {record.checkpoint: record for record in group}
    entries = [entry for entry in runs.entries(list(newest.values())) if not entry.conflict]
    rows = sorted((_row(entry, sampled) for entry in entries), key=lambda row: row.name)
    setup = {key: value for key, value in _setup(group[0]).items() if value is not None}
    parts = [f"{key} {setup[key]}" for key in ("network", "length", "tokenizer") if key in setup]
    parts += [f"{setup['batch']} texts a step"] if "batch" in setup else []
    parts.append(f"precision {setup.get('precision', 'by device')}")
    return Table(
        kind="cost",
        title=f"cost: {setup['network']} on {labels.machine(group[0].hardware)}",
        caption=f"{one_line(', '.join(parts))}.",
        columns=filled(COLUMNS, rows),
        rows=tuple(rows),
        sentence=SENTENCE,
    )


def _row(entry: Entry, sampled: Mapping[str | None, Record]) -> Row:
    runs, first = entry.records, entry.records[0]
    samples = [sampled[run.checkpoint] for run in runs if run.checkpoint in sampled]
    here = [sample for sample in samples if _machine(sample) == _machine(first)]
    seconds, tokens = mean_metric(runs, "train_seconds"), mean_trained(runs, "tokens")
    values: dict[str, Value] = {
        "training_speed": tokens / seconds if tokens and seconds else None,
        "training_time": seconds,
        "training_peak_memory": _most(run.metrics.get(TRAINED) for run in runs),
        "evaluation_time": fmean(run.wall_time_s for run in runs),
        "evaluation_peak_memory": max(run.peak_memory_bytes for run in runs),
        "sampling_speed": mean_metric(here, "tokens_per_second"),
        "sampling_peak_memory": _most(sample.peak_memory_bytes for sample in here),
        "network_evaluations": mean_metric(here, "network_evaluations"),
        "parameters": first.network["parameters"],
        "sampler": " or ".join(sorted({labels.sampler_and_steps(sample) for sample in here})),
    }
    return Row(entry.name, values, (*runs, *here))


def _most(values: Iterable[int | None]) -> int | None:
    """The largest known value."""
    return max((value for value in values if value is not None), default=None)
