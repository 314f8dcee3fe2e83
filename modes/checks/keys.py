"""Keys of a configuration held against those of the groups that it chose: unknown ones, missing
ones, and values of another type. Only the standard library."""

import difflib
from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]

OPEN = ("callbacks", "data.files")  # what may stand below them is not ours
ADDED = {  # keyword arguments of the libraries behind a group, beside its own keys
    "trainer": (
        "benchmark",
        "detect_anomaly",
        "deterministic",
        "gradient_clip_algorithm",
        "max_time",
        "profiler",
    ),
    "wandb": ("dir", "id", "job_type", "notes", "save_code"),
}
NULLABLE = ("trainer.gradient_clip_val", "trainer.limit_val_batches")  # no clipping; all of them
SHOWN = 5  # wrong keys of a command that have a line each


def may_be_added(key: str) -> bool:
    """Whether a key that is not among the defaults may be given all the same."""
    group, _, name = key.partition(".")
    return name in ADDED.get(group, ()) or any(key.startswith(f"{above}.") for above in OPEN)


def is_known(key: str, defaults: Settings) -> bool:
    node: Any = defaults
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return may_be_added(key)
        node = node[part]
    return True


def unknown(settings: Settings, defaults: Settings, above: str = "") -> Iterator[str]:
    """The dotted keys of `settings` that `defaults` lack, whoever wrote them."""
    for name, value in settings.items():
        key = f"{above}{name}"
        if key in OPEN or may_be_added(key):
            continue
        if name not in defaults:
            yield key
        elif isinstance(value, dict) and isinstance(defaults[name], dict):
            yield from unknown(value, defaults[name], f"{key}.")


def no_such_key(key: str, defaults: Settings) -> str:
    """One line: the key, what may have been meant, what there is beside it."""
    node, parent = defaults, ""
    *groups, _ = key.split(".")
    for part in groups:
        below = node.get(part)
        if not isinstance(below, dict):
            break
        node, parent = below, f"{parent}{part}."
    allowed = [f"{parent}{name}" for name in node]
    close = difflib.get_close_matches(key, allowed, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{key}: there is no such key; {hint}known: {', '.join(allowed)}"


def few(lines: list[str]) -> list[str]:
    """The first lines; the rest by the keys that they begin with."""
    if len(lines) <= SHOWN:
        return lines
    rest = ", ".join(line.partition(": ")[0] for line in lines[SHOWN:])
    return [*lines[:SHOWN], f"and {len(lines) - SHOWN} more: {rest}"]


def check_values_of_keys(settings: Settings, defaults: Settings, above: str = "") -> None:
    """ValueError for a key that is gone, and for a value of another type than its default."""
    for name, default in defaults.items():
        key = f"{above}{name}"
        if name not in settings:
            raise ValueError(f"{key}: cannot be left out; by default it is {default!r}")
        value = settings[name]
        if key in OPEN:
            continue
        if isinstance(default, dict):
            check_values_of_keys(value, default, f"{key}.")
        else:
            _check_type(key, value, default)


def _check_type(key: str, value: Any, default: Any) -> None:
    allowed = {bool: (bool,), int: (int,), float: (int, float)}.get(type(default))
    if allowed is None:
        if isinstance(default, str) and isinstance(value, dict):
            raise ValueError(f"{key}={value!r}: has no keys below it; it is {default!r} by default")
        return
    if value is None and key in NULLABLE:
        return
    if value is None:
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise ValueError(f"{key}=null: must be {kind}, such as {_shown(default)}")
    if type(value) not in allowed:
        raise ValueError(
            f"{key}={value!r}: must be of type {type(default).__name__}, such as {default!r}"
        )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
