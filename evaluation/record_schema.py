"""The schema of a record, its canonical bytes and its digest."""

import hashlib
import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from evaluation import fields as known
from evaluation.rules import faithful, group
from evaluation.words import brief, one_line

SCHEMA = 2
ADDED = ("schema", "protocol_digest", "digest")


def plain(value: Any, name: str) -> Any:
    """`value` as JSON keeps it: dicts with string keys, lists, strings, finite numbers.

    Scalars of numpy and torch become numbers, paths become strings, and a byte of a path that is
    no UTF-8 becomes its number. ValueError names the field of a NaN, an infinity or anything else
    that has no faithful form."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, dict):
        return {_text(str(key)): plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, f"{name}.{index}") for index, inner in enumerate(value)]
    if isinstance(value, str | Path):
        return _text(str(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value}: a finite number is required")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}: numbers, strings, lists, dicts only")


def _text(words: str) -> str:
    return words.encode("utf-8", "backslashreplace").decode()


def check(fields: dict[str, Any]) -> None:
    """ValueError, naming the field, unless exactly the fields of a record are there and each can be
    shown."""
    faithful(fields, "")
    for name in fields.keys() - known.FIELDS.keys() - {*ADDED}:
        raise ValueError(f"{one_line(name)[:80]}: a record has no such field")
    group(known.FIELDS)(fields, "")
    rule = known.VALUES.get(fields["metric"].partition(",")[0])
    if rule is not None:
        rule(fields["value"], "value")
    moment(fields)


def moment(fields: dict[str, Any]) -> datetime:
    """The time of creation; ValueError unless `created` is an ISO time in UTC."""
    try:
        time = datetime.fromisoformat(fields["created"])
    except ValueError:
        time = None
    if time is None or time.utcoffset() != timedelta(0):
        created = f"created={brief(fields['created'])}"
        raise ValueError(f"{created}: a UTC time such as 2026-01-31T12:00:00+00:00 is required")
    return time


def canonical(value: Any) -> str:
    """The one JSON text of plain data: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()
