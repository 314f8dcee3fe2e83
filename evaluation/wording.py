"""Protocols and configurations in words."""

from collections.abc import Sequence
from typing import Any

from evaluation import schema

SHOWN_SETTINGS = 3
# Of a sampler: its name, what has a column, and what is said only where it differs.
NOT_LISTED = ("predictor", "length", "steps", "network_evaluations")


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


def names(rows: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """For every (algorithm, config): the algorithm, with what tells its configurations apart."""
    flat = [_flat(config) for _, config in rows]
    named = []
    for (algo, _), own in zip(rows, flat, strict=True):
        rivals = [other for (rival, _), other in zip(rows, flat, strict=True) if rival == algo]
        keys = sorted({key for rival in rivals for key in rival})
        different = [key for key in keys if any(own.get(key) != one.get(key) for one in rivals)]
        shown = [f"{key}={_words(own.get(key))}" for key in different[:SHOWN_SETTINGS]]
        shown += ["..."] if len(different) > SHOWN_SETTINGS else []
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


def _flat(config: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        flat.update(_flat(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return flat


def _setting(key: str, value: Any) -> str:
    words = key.replace("_", " ")
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if key.endswith("digest"):
        return f"{words} {_words(value)[:12]}"
    return f"{words} {_words(value)}"


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", schema.canonical(value)))
    if isinstance(value, list):
        return " to ".join(map(_words, value))
    return "none" if value is None else str(value)
