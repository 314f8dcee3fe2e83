"""Protocols and configurations in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation import record_schema
from evaluation.words import one_line

SHOWN_SETTINGS = 3
LONGEST = 200  # characters of a setting
# Of a sampler: its name, what has a column, and what is said only where it differs.
NOT_LISTED = ("predictor", "length", "steps", "network_evaluations", "scorer", "quality", "tasks")


def title(fields: dict[str, Any]) -> str:
    """The text, the length and the tokenizer that a record's perplexity was measured with."""
    settings = {**fields["data"], **fields["protocol"]}
    parts = [f"{fields['data']['name']}: perplexity"]
    if "length" in settings:
        parts.append(f"length {_words(settings['length'])}")
    if "tokenizer" in settings:
        parts.append(f"tokenizer {_words(settings['tokenizer'])}")
    return ", ".join(parts)


def caption(fields: dict[str, Any]) -> str:
    """What else a record's protocol fixes."""
    rest = {k: v for k, v in fields["protocol"].items() if k not in ("length", "tokenizer")}
    settings = ", ".join(_setting(key, value) for key, value in rest.items())
    return f"Protocol {fields['protocol_digest']}: {settings}."


def names(
    rows: Sequence[tuple[str, dict[str, Any]]], usual: Sequence[Mapping[str, Any]]
) -> list[str]:
    """For every (algorithm, settings by dotted key): the algorithm, with what tells its rows
    apart; `usual` are the settings where a row does not say them."""
    full = [{**defaults, **own} for (_, own), defaults in zip(rows, usual, strict=True)]
    named = []
    for number, (algo, _) in enumerate(rows):
        rivals = [place for place, (rival, _) in enumerate(rows) if rival == algo]
        keys = sorted({key for rival in rivals for key in rows[rival][1]})
        own = full[number]
        apart = [key for key in keys if any(own.get(key) != full[r].get(key) for r in rivals)]
        shown = [f"{one_line(key)}={_words(own.get(key))}" for key in apart[:SHOWN_SETTINGS]]
        shown += ["..."] if len(apart) > SHOWN_SETTINGS else []
        named.append(f"{algo} ({', '.join(shown)})" if shown else algo)
    return named


def sampler(fields: dict[str, Any], length: int | None) -> str:
    """The sampler of a sample record, with every setting that is not neutral (1 or none).

    The length is said where it is not the `length` of the likelihood beside it.
    """
    settings = fields["sampler"] or {}
    said = {k: v for k, v in settings.items() if k not in NOT_LISTED and v not in (None, 1)}
    if settings.get("length", length) != length:
        said["length"] = settings["length"]
    parts = [_setting(key, value) for key, value in said.items()]
    return ", ".join([_words(settings.get("predictor", "not known")), *parts])


def _setting(key: str, value: Any) -> str:
    words = one_line(key.replace("_", " "))
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if key.endswith("digest"):
        return f"{words} {_words(value)[:12]}"
    return f"{words} {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, list):
        return _cut(" to ".join(map(_words, value)))
    said = value.get("name", record_schema.canonical(value)) if isinstance(value, dict) else value
    return "none" if said is None else _cut(str(said))


def _cut(words: str) -> str:
    return one_line(words if len(words) <= LONGEST else f"{words[:LONGEST]}...")


def conflicts(entries: Iterable[Any]) -> str:
    """A sentence for the entries of runs that contradict themselves; nothing without any."""
    files = [entry.records[0].path.name for entry in entries if entry.conflict]
    if not files:
        return ""
    return (
        f" Conflict: records of the same run, protocol, text and seed differ in value: "
        f"{', '.join(files)}; none of them is compared, and no row is bold."
    )


def drawn(fields: dict[str, Any], length: int | None) -> str:
    """The sampler with its number of steps."""
    steps = (fields["sampler"] or {}).get("steps")
    return sampler(fields, length) + ("" if steps is None else f", {steps} steps")


def language(fields: dict[str, Any]) -> str:
    """A language of an oracle record."""
    keys = ("states", "order", "concentration", "language_seed")
    said = [_setting(key, fields["protocol"][key]) for key in keys if key in fields["protocol"]]
    return f"The language: {', '.join(said)}."


def machine(hardware: Mapping[str, Any]) -> str:
    """What computed."""
    if hardware.get("gpu"):
        return f"{hardware.get('gpus', 1)} x {hardware['gpu']}"
    threads = hardware.get("threads", "?")
    plural = "" if threads == 1 else "s"
    return f"{hardware.get('cpu', 'an unknown processor')}, {threads} thread{plural}"
