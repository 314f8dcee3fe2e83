"""The keys of a configuration as lines of --help."""

from collections.abc import Iterator
from typing import Any

from schema.check import node_class, shown
from schema.fields import Setting, settings_of

WIDTH = 44  # of KEY=VALUE, beyond which the meaning stands on a line of its own


def lines(cls: type, values: dict[str, Any], key: str = "") -> Iterator[str]:
    """A line for every key: its value, its meaning and its choices; a heading for every node."""
    nodes = []
    for name, setting in settings_of(cls).items():
        below = f"{key}.{name}" if key else name
        if setting.limits.nodes is None:
            yield from _line(f"{below}={_plain(values[name])}", setting)
        else:
            nodes.append((below, values[name], setting.limits))
    for below, value, limits in nodes:
        yield f"\n{below}: {limits.meaning}"
        yield from lines(node_class(limits, value, below), value, below)


def _line(shown: str, setting: Setting) -> Iterator[str]:
    kind, limits, _ = setting
    choices = sorted({str(choice) for choice in kind.choices}) if kind is not None else []
    meaning = limits.meaning + (f" ({', '.join(choices)})" if choices else "")
    if len(shown) <= WIDTH:
        yield f"  {shown:<{WIDTH}}  {meaning}"
    else:
        yield f"  {shown}\n  {'':<{WIDTH}}  {meaning}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return value if isinstance(value, str) else shown(value)
