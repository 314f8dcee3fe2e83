"""Records that anybody could have written: a good one with any field as anything, under the digest
of its contents."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from evaluation import record_schema

DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]
NUMBERS = (-1, 0, 1, 2**63, 10**18, 10**400, 0.5, -0.0, 5e-324, 1e-151, 1e-150, -1e-150)
LARGE = (1e9, 1e150, 1e151, -1e150, 1e308, float("nan"), float("inf"))
TEXTS = (
    *("", " ", "x", "1", "ppl", "samples", "oracle", "acc", "exact"),
    *("/dev/zero", "../..", "__proto__"),
)
ODD_TEXTS = (
    *("\x00", "\x1b[31m", "\x85", "\ud800", "\ufffe", "\U0001ffff", "\u202eabc", "a\nb", "a\rb"),
    *("=1+1", "@x", "-1", "* x", "[x]", "</script><b>", 'it\'s "q" \\', "x" * 400, "日本 🙂 é"),
    *("${1+1}", "datum.x'", "\\input{x}", "|", "![x](y)", "x" * 5000, "%s{0}@data@"),
)
SHAPES: tuple[Any, ...] = ([], {}, [[]], [1, 2], {"a": {}}, {"name": []}, {"": None}, DEEP, [None])
VALUES = (None, True, *NUMBERS, *LARGE, *TEXTS, *ODD_TEXTS, *SHAPES)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield (*above, key)
        if isinstance(one, dict | list):
            yield from places(one, (*above, key))


def changed(fields: dict[str, Any], rng: Random, times: int = 1) -> dict[str, Any]:
    """A copy with some of its values replaced, left out, or under another key."""
    made = copy.deepcopy(fields)
    for _ in range(times):
        *above, key = rng.choice(list(places(made)))
        place = made
        for part in above:
            place = place[part]
        value = copy.deepcopy(rng.choice(VALUES))
        kind = rng.random()
        if kind < 0.85 or isinstance(place, list):
            place[key] = value
        elif kind < 0.9:
            del place[key]
        else:
            place[rng.choice(ODD_TEXTS)] = value
        if not made:
            break
    return made


def another(fields: dict[str, Any]) -> dict[str, Any]:
    """Of another run, so that it contradicts none."""
    training = fields["training"] | {"checkpoint_digest": "of another"}
    return fields | {"seed": 777, "training": training}


def write(file: Path, fields: dict[str, Any]) -> None:
    """As a record of today whose digests belong to its contents."""
    own = {name: value for name, value in fields.items() if name not in record_schema.ADDED}
    own["schema"] = record_schema.SCHEMA
    own["protocol_digest"] = _digest(own.get("protocol"))[:12]
    own["digest"] = _digest(own)
    file.write_text(json.dumps(own))


def _digest(value: Any) -> str:
    try:
        return record_schema.digest(value)
    except ValueError:  # not JSON: any digest is wrong
        return "0" * 64
