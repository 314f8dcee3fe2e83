"""Names of protocols, configurations and samplers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.records import Record
from evaluation.words import one_line

SHOWN_SETTINGS = 3
LONGEST = 200  # characters of a setting
# Keys of a sampler that have a column of their own, or are named only where they differ.
NOT_LISTED = ("predictor", "length", "steps", "network_evaluations", "scorer", "quality", "tasks")


def title(record: Record) -> str:
    """The text, length and tokenizer of a perplexity."""
    settings = {**record.data, **record.protocol}
    parts = [f"{key} {_text(settings[key])}" for key in ("length", "tokenizer") if key in settings]
    return ", ".join([f"{record.data['name']}: perplexity", *parts])


def caption(record: Record, without: Sequence[str] = ()) -> str:
    """The rest of a record's protocol, but for the keys that are told `without`."""
    protocol = {k: v for k, v in record.protocol.items() if k not in without}
    rest = {k: v for k, v in protocol.items() if k not in ("length", "tokenizer")}
    settings = ", ".join(_setting(key, value) for key, value in rest.items())
    return f"Protocol {record_schema.digest(protocol)[:12]}: {settings}."


def names(
    rows: Sequence[tuple[str, dict[str, Any]]], usual: Sequence[Mapping[str, Any]]
) -> list[str]:
    """For every (algorithm, settings by dotted key): the algorithm, with the settings in which its
    rows differ; `usual` are the settings that a row does not list."""
    full = [{**defaults, **listed} for (_, listed), defaults in zip(rows, usual, strict=True)]
    labels = []
    for settings, (algo, _) in zip(full, rows, strict=True):
        rivals = [index for index, (rival, _) in enumerate(rows) if rival == algo]
        keys = sorted({key for index in rivals for key in rows[index][1]})
        differ = [k for k in keys if any(settings.get(k) != full[i].get(k) for i in rivals)]
        shown = [f"{one_line(k)}={_text(settings.get(k))}" for k in differ[:SHOWN_SETTINGS]]
        shown += ["..."] if len(differ) > SHOWN_SETTINGS else []
        labels.append(f"{algo} ({', '.join(shown)})" if shown else algo)
    return labels


def sampler(record: Record, length: int | None = None) -> str:
    """The sampler of a record of samples with every setting that is not neutral (1 or none), but
    not its steps; with its length where it is not `length`."""
    settings = record.sampler or {}
    listed = {k: v for k, v in settings.items() if k not in NOT_LISTED and v not in (None, 1)}
    if length is not None and settings.get("length", length) != length:
        listed["length"] = settings["length"]
    parts = [_setting(key, value) for key, value in listed.items()]
    return ", ".join([_text(settings.get("predictor", "not known")), *parts])


def sampler_and_steps(record: Record, length: int | None = None) -> str:
    steps = "" if record.steps is None else f", {record.steps} steps"
    return sampler(record, length) + steps


def _setting(key: str, value: Any) -> str:
    name = one_line(key.replace("_", " "))
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {_text(value)[:12] if key.endswith('digest') else _text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return _cut(" to ".join(map(_text, value)))
    if isinstance(value, dict):
        value = value.get("name", record_schema.canonical(value))
    return "none" if value is None else _cut(str(value))


def _cut(text: str) -> str:
    return one_line(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def conflicts(entries: Iterable[Any]) -> str:
    """A sentence where some entries are in conflict; empty without any."""
    if not any(entry.conflict for entry in entries):
        return ""
    return " Conflict: records of one run differ in value; they are not compared, no row is bold."


def language(record: Record) -> str:
    """The language of an oracle record."""
    keys = ("states", "order", "concentration", "language_seed")
    parts = [_setting(key, record.protocol[key]) for key in keys if key in record.protocol]
    return f"The language: {', '.join(parts)}."


def scoring(record: Record) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The model that scored samples and the protocol of it, both empty where there is none."""
    metrics = record.metrics
    return metrics.get("gen_ppl_scorer") or {}, metrics.get("quality_protocol") or {}


def machine(hardware: Mapping[str, Any]) -> str:
    """The GPUs, or else the processor and its threads."""
    if hardware.get("gpu"):
        return f"{hardware.get('gpus', 1)} x {hardware['gpu']}"
    threads = hardware.get("threads", "?")
    plural = "" if threads == 1 else "s"
    return f"{hardware.get('cpu', 'an unknown processor')}, {threads} thread{plural}"
