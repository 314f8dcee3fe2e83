"""Fields of a settings dataclass: a default, a one-line meaning, and the values that are allowed.

The annotation is the type: bool, int, float, str, dict, list[...], Literal[...] and unions of them,
None among them where null is allowed, Any where nothing is checked."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, Union

Written = Literal["value", "name", "path", "text"]


class Limits(NamedTuple):
    """The metadata of a field.

    `at_least`, `above` and `at_most` bound a number from one side each; `within` is an interval
    such as "[0, 1)", said as a whole. A list has its limits for every element. `written` says what
    a text is: a "value"; a "name", which records, tables and folders take; a "path"; or a "text",
    which may be empty and in which dollar signs are dollar signs. `rule` is the complaint about a
    value that the rest allows, or None. `nodes` are the dataclasses of a node below, by its key
    `by`; stored settings without that key are `unnamed`."""

    meaning: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    within: str | None = None
    written: Written = "value"
    rule: Callable[[Any], str | None] | None = None
    nodes: dict[str, type] | type | None = None
    by: str | None = None
    unnamed: type | None = None


def field(default: Any, meaning: str, **limits: Any) -> Any:
    """A dataclass field with `default`, which is copied where it is a list or a dict."""
    metadata = {"limits": Limits(meaning, **limits)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def node(
    nodes: dict[str, type] | type,
    meaning: str,
    by: str | None = None,
    unnamed: type | None = None,
) -> Any:
    """A field that holds another settings dataclass: the one of `nodes` that its key `by` names."""
    first = nodes if isinstance(nodes, type) else next(iter(nodes.values()))
    metadata = {"limits": Limits(meaning, nodes=nodes, by=by, unnamed=unnamed)}
    return dataclasses.field(default_factory=first, metadata=metadata)


class Kind(NamedTuple):
    """The types of a value by its annotation; `choices` of a Literal, `item` of a list."""

    types: frozenset[type]
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    item: "Kind | None" = None


class Setting(NamedTuple):
    """One field of a settings dataclass; `kind` is None for Any."""

    kind: Kind | None
    limits: Limits
    default: Any


@functools.cache
def settings_of(cls: type) -> dict[str, Setting]:
    """The fields of a settings dataclass by name; one that `field` or `node` did not make is no
    setting."""
    hints = typing.get_type_hints(cls)
    return {
        field.name: Setting(_kind(hints[field.name]), field.metadata["limits"], _default(field))
        for field in dataclasses.fields(cls)
        if "limits" in field.metadata
    }


def keywords(node: Any) -> dict[str, Any]:
    """The values of a node but for its name, which are the keywords of what the name stands for."""
    return {key: value for key, value in vars(node).items() if key != "name"}


def walk(cls: type, key: str = "") -> Iterator[tuple[str, Setting]]:
    """The dotted key and the field of every value below `cls`, in all dataclasses of its nodes."""
    for name, setting in settings_of(cls).items():
        below = f"{key}.{name}" if key else name
        nodes = setting.limits.nodes
        if nodes is None:
            yield below, setting
            continue
        for inner in [nodes] if isinstance(nodes, type) else nodes.values():
            yield from walk(inner, below)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _kind(hint: Any) -> Kind | None:
    if hint is Any or dataclasses.is_dataclass(hint):
        return None
    if hint in (None, types.NoneType):
        return Kind(frozenset(), nullable=True)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return Kind(frozenset(map(type, arguments)), choices=arguments)
    if origin is list:
        return Kind(frozenset({list}), item=_kind(arguments[0]))
    if origin in (Union, types.UnionType):
        parts = [kind for kind in map(_kind, arguments) if kind is not None]
        return Kind(
            frozenset().union(*(kind.types for kind in parts)),
            any(kind.nullable for kind in parts),
            tuple(choice for kind in parts for choice in kind.choices),
            next((kind.item for kind in parts if kind.item is not None), None),
        )
    return Kind(frozenset({origin or hint}))
