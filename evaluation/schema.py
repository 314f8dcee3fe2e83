"""What a record must say, its canonical bytes and its digest."""

import hashlib
import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SCHEMA = 1
KINDS = ("exact", "upper bound", "estimate")
ADDED = ("schema", "protocol_digest", "digest")

_NONE = type(None)
# A dot reaches into a dict that stands above it. None means "not known" where it is allowed.
FIELDS: dict[str, tuple[type, ...]] = {
    "metric": (str,),
    "value": (int, float),
    "stderr": (int, float, _NONE),
    "count": (int,),
    "kind": (str,),
    "algo": (str,),
    "protocol": (dict,),
    "network": (dict,),
    "network.name": (str,),
    "network.parameters": (int,),
    "data": (dict,),
    "data.name": (str,),
    "data.digest": (str,),
    "training": (dict,),
    "training.steps": (int, _NONE),
    "training.tokens": (int, _NONE),
    "training.checkpoint_digest": (str, _NONE),
    "sampler": (dict, _NONE),
    "seed": (int,),
    "commit": (str, _NONE),
    "hardware": (dict,),
    "wall_time_s": (int, float),
    "peak_memory_bytes": (int,),
    "config": (dict,),
    "created": (str,),
    "also": (dict,),
}


def plain(value: Any, name: str) -> Any:
    """`value` as JSON keeps it: dicts with string keys, lists, strings, finite numbers.

    Scalars of numpy and torch become numbers, paths become strings. ValueError names the field
    of a NaN, an infinity or anything else that has no faithful form.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, dict):
        return {str(key): plain(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, f"{name}.{place}") for place, inner in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value}: a finite number is required")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}: numbers, strings, lists, dicts only")


def check(fields: dict[str, Any]) -> None:
    """ValueError, naming the field, unless every required field is there and of its type."""
    for name, types in FIELDS.items():
        value: Any = fields
        for part in name.split("."):
            if part not in value:
                raise ValueError(f"the field {name} is missing")
            value = value[part]
        if not isinstance(value, types) or isinstance(value, bool):
            allowed = " or ".join("null" if one is _NONE else one.__name__ for one in types)
            raise ValueError(f"{name}={value!r}: {allowed} is required")
    if fields["kind"] not in KINDS:
        raise ValueError(f"kind={fields['kind']!r}: choose from {list(KINDS)}")
    moment(fields)


def moment(fields: dict[str, Any]) -> datetime:
    """When the record was made; ValueError unless `created` is an ISO time in UTC."""
    try:
        made = datetime.fromisoformat(fields["created"])
    except ValueError:
        made = None
    if made is None or made.utcoffset() != timedelta(0):
        created = f"created={fields['created']!r}"
        raise ValueError(f"{created}: a UTC time such as 2026-01-31T12:00:00+00:00 is required")
    return made


def canonical(value: Any) -> str:
    """The one JSON text of plain data: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical text, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()
