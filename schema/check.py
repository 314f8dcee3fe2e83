"""The check of values and of whole nodes against settings dataclasses, in one line per mistake."""

import difflib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from schema.fields import Kind, Limits, Setting, settings_of

LARGEST = 2**63 - 1
SHOWN = 5  # wrong keys of a command that have a line each


class UnknownKeys(ValueError):
    """Keys that there are not, a line for each."""

    def __init__(self, wrong: dict[str, str]):
        super().__init__("\n".join(few(list(wrong.values()))))
        self.keys = list(wrong)


def build(cls: type, values: Any) -> Any:
    """The instance of `cls` that `values` describe; paths with the home folder for their ~.

    UnknownKeys for those that there are not; ValueError for keys left out and for values that are
    not allowed."""
    wrong = dict(unknown(cls, values))
    if wrong:
        raise UnknownKeys(wrong)
    return _build(cls, values, "")


def _build(cls: type, values: Mapping[str, Any], key: str) -> Any:
    arguments = {}
    for name, setting in settings_of(cls).items():
        below = f"{key}.{name}" if key else name
        if name not in values:
            raise ValueError(f"{below}: cannot be left out; by default it is {setting.default!r}")
        value = values[name]
        if setting.limits.nodes is not None:
            arguments[name] = _build(node_class(setting.limits, value, below), value, below)
        else:
            arguments[name] = accepted(below, value, setting)
    instance = cls(**arguments)
    check = getattr(instance, "check", None)
    if check is not None:
        check()
    return instance


def read_stored(cls: type, values: Mapping[str, Any]) -> Any:
    """The instance of `cls` that stored settings describe. Those of a published model say less than
    those of a run: what they do not say has its default. A key that there is no field for is left
    out. ValueError for a node of no known kind."""
    settings = settings_of(cls)
    known = {name: value for name, value in values.items() if name in settings}
    return cls(**{name: read_node(settings[name].limits, known[name], name) for name in known})


def read_node(limits: Limits, value: Any, key: str) -> Any:
    """The node at `key` of stored settings, or a value that is none."""
    if limits.nodes is None:
        return value
    unnamed = limits.unnamed if limits.by not in value else None
    return read_stored(unnamed or node_class(limits, value, key), value)


def check_values(cls: type, key: str, **values: Any) -> None:
    """ValueError for a value that the field of its name in `cls`, the node at `key`, refuses."""
    for name, value in values.items():
        accepted(f"{key}.{name}", value, settings_of(cls)[name])


def accepted(key: str, value: Any, setting: Setting) -> Any:
    """The value as the program takes it; ValueError naming key, value and what is allowed."""
    reason = complaint(value, setting)
    if reason is not None:
        raise ValueError(f"{key}={shown(value)}: {reason}")
    return _expanded(value, setting)


def node_class(limits: Limits, value: Any, key: str) -> type:
    """The dataclass of the node `value`; ValueError where it is none or names none."""
    if not isinstance(value, dict):
        raise ValueError(f"{key}={shown(value)}: must be a node with keys below it")
    if isinstance(limits.nodes, type):
        return limits.nodes
    assert limits.nodes is not None and limits.by is not None
    name = value.get(limits.by)
    kind = Kind(frozenset({str}), choices=tuple(limits.nodes))
    accepted(f"{key}.{limits.by}", name, Setting(kind, limits, next(iter(limits.nodes))))
    return limits.nodes[name]  # type: ignore[index]


def unknown(cls: type, values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The dotted keys of `values` that `cls` has no field for, with a line for each."""
    settings = settings_of(cls)
    above = f"{key}." if key else ""
    names = [f"{above}{name}" for name in settings]
    for name, value in values.items():
        if name not in settings:
            yield f"{above}{name}", no_such_key(f"{above}{name}", names)
        elif settings[name].limits.nodes is not None:
            below = f"{above}{name}"
            yield from unknown(node_class(settings[name].limits, value, below), value, below)


def no_such_key(key: str, known: list[str]) -> str:
    """One line: the key, the likeliest of the `known` ones of its node, all of them."""
    names = {one.rpartition(".")[2]: one for one in known}  # a shared beginning makes none alike
    close = difflib.get_close_matches(key.rpartition(".")[2], names, n=1)
    hint = f"did you mean {names[close[0]]}? " if close else ""
    return f"{key}: there is no such key; {hint}known: {', '.join(known)}"


def few(lines: list[str]) -> list[str]:
    """The first lines; the rest by the keys that they begin with."""
    if len(lines) <= SHOWN:
        return lines
    rest = ", ".join(line.partition(": ")[0] for line in lines[SHOWN:])
    return [*lines[:SHOWN], f"and {len(lines) - SHOWN} more: {rest}"]


def complaint(value: Any, setting: Setting) -> str | None:
    """The reason why a field refuses a value, None where it takes it."""
    kind, limits, default = setting
    if kind is None or (value is None and kind.nullable):
        return None
    if isinstance(value, dict) and dict not in kind.types and str in kind.types:
        return f"has no keys below it; it is {shown(default)} by default"
    if type(value) not in kind.types and not (type(value) is int and float in kind.types):
        return _expected(value, setting)
    if kind.choices:
        allowed = sorted({str(choice) for choice in kind.choices})
        if type(value) in map(type, kind.choices) and str(value) not in allowed:
            return f"choose from {', '.join(allowed)}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(value, limits) or _by_rule(value, limits)
    elif isinstance(value, str):
        return _of_text(value, limits) or _by_rule(value, limits)
    if isinstance(value, list) and kind.item is not None:
        item = Setting(kind.item, limits._replace(rule=None), None)
        if not value or any(complaint(element, item) is not None for element in value):
            return _expected(value, setting)
    return _by_rule(value, limits)


def _by_rule(value: Any, limits: Limits) -> str | None:
    return None if limits.rule is None else limits.rule(value)


def _of_number(value: float, limits: Limits) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if limits.within is not None:
        low, high = map(float, limits.within[1:-1].split(","))
        above = value > low or (value == low and limits.within.startswith("["))
        below = value < high or (value == high and limits.within.endswith("]"))
        return None if above and below else _in_words(limits.within)
    if limits.at_least is not None and value < limits.at_least:
        return f"must be at least {limits.at_least}"
    if limits.above is not None and value <= limits.above:
        return f"must be above {limits.above}" if limits.above else "must be positive"
    most = LARGEST if limits.at_most is None else limits.at_most
    return None if value <= most else f"must be at most {most}"


def _in_words(interval: str) -> str:
    low, high = (part.strip() for part in interval[1:-1].split(","))
    return {
        "[]": f"must be from {low} to {high}",
        "[)": f"must be at least {low} and below {high}",
        "(]": f"must be above {low} and at most {high}",
        "()": f"must lie between {low} and {high}",
    }[interval[0] + interval[-1]]


def _of_text(value: str, limits: Limits) -> str | None:
    if limits.written == "name":
        good = 0 < len(value) <= 100 and value.isprintable() and "/" not in value
        return None if good and value not in (".", "..") else WORD
    if limits.written == "text":
        return None
    return None if value.strip() and "\0" not in value else "must not be empty"


WORD = "must be a word of 1 to 100 characters, without /"


def _expected(value: Any, setting: Setting) -> str:
    """The kind of value that a field takes, for one of another type."""
    kind, limits, default = setting
    assert kind is not None
    if kind.choices:
        return f"choose from {', '.join(sorted({str(choice) for choice in kind.choices}))}"
    if limits.rule is not None and (broken := limits.rule(value)) is not None:
        return broken
    such = f", such as {shown(default)}"
    if kind.types == {bool}:
        return f"must be true or false{such}" if value is None else f"must be of type bool{such}"
    if kind.types <= {int, float}:
        if value is None or kind.nullable:
            return "must be a number" if kind.nullable else f"must be a number{such}"
        return f"must be of type {'float' if float in kind.types else 'int'}{such}"
    if limits.written == "name":
        return WORD
    noun = "path" if limits.written == "path" else "text" if str in kind.types else "node"
    nouns = [f"a {noun}"] if kind.types & {str, dict} else []
    if kind.item is not None:
        of = "paths" if noun == "path" else "names" if str in kind.item.types else "numbers"
        least = "" if limits.at_least is None else f" of at least {limits.at_least}"
        nouns.append(f"a list of {of}{least}")
    return f"must be {' or '.join(nouns)}{', or null' if kind.nullable else ''}"


def shown(value: Any) -> str:
    """A value as the command line says it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _expanded(value: Any, setting: Setting) -> Any:
    """A path with the home folder for its ~; a default is no setting of the user's and stays, so
    that no record says whose home it is in."""
    if setting.limits.written != "path" or value == setting.default:
        return value
    if isinstance(value, list):
        return [_expanded(element, setting) for element in value]
    if not isinstance(value, str):
        return value
    before, tilde, path = value.rpartition(":~")  # NAME:PATH of a list
    before, path = (f"{before}:", f"~{path}") if tilde else ("", value)
    # Not of pathlib, which has no answer for a user without a home and takes ./ from ./name.
    return before + os.path.expanduser(path)  # noqa: PTH111
