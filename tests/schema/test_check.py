"""The check of a small settings dataclass."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from schema.check import UnknownKeys, build, check_values, no_such_key
from schema.fields import field, node, walk
from schema.help import lines


@dataclass(frozen=True)
class Linear:
    name: str = field("linear", "a line")
    slope: float = field(1.0, "of the line", within="[0, 1)")


@dataclass(frozen=True)
class Cosine:
    name: str = field("cosine", "a wave")
    waves: int | None = field(None, "how many", at_least=1, at_most=9)


@dataclass(frozen=True)
class Root:
    kind: Literal["short", "long"] = field("short", "of the run")
    path: str | None = field(None, "of the run", written="path")
    steps: list[int] = field([1, 2], "of the samplers", at_least=1)
    shape: Linear | Cosine = node({"linear": Linear, "cosine": Cosine}, "of time", by="name")


VALUES = {"kind": "long", "path": "x", "steps": [3], "shape": {"name": "cosine", "waves": 2}}


def test_build_takes_the_dataclass_that_the_name_says() -> None:
    assert build(Root, VALUES) == Root("long", "x", [3], Cosine(waves=2))
    assert {key for key, _ in walk(Root)} >= {"kind", "shape.slope", "shape.waves"}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"kind": "medium"}, "kind='medium': choose from long, short"),
        ({"kind": None}, "kind=null: choose from long, short"),
        ({"path": ""}, "path='': must not be empty"),
        ({"path": 3}, "path=3: must be a path, or null"),
        ({"steps": [0]}, "steps=[0]: must be a list of numbers of at least 1"),
        ({"steps": [True]}, "steps=[True]: must be a list of numbers of at least 1"),
        ({"shape": 3}, "shape=3: must be a node with keys below it"),
        ({"shape": {"name": "x"}}, "shape.name='x': choose from cosine, linear"),
        ({"shape": {"name": "cosine"}}, "shape.waves: cannot be left out; by default it is None"),
        ({"shape": VALUES["shape"] | {"waves": 10}}, "shape.waves=10: must be at most 9"),  # type: ignore[operator]
        ({"shape": {"name": "linear", "slope": 1}}, "shape.slope=1: must be at least 0 and below"),
    ],
)
def test_build_names_the_key_and_what_is_allowed(own: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(Root, VALUES | own)
    assert str(caught.value).startswith(said)


def test_build_names_every_unknown_key() -> None:
    with pytest.raises(UnknownKeys) as caught:
        build(Root, VALUES | {"knd": 1, "shape": {"name": "cosine", "wave": 1}})
    assert caught.value.keys == ["shape.wave", "knd"]
    assert "did you mean shape.waves?" in str(caught.value)


def test_no_such_key_a_shared_beginning_is_no_likeness() -> None:
    known = ["algo.name", "algo.loss_type"]
    assert "did you mean" not in no_such_key("algo.p_uniform", known)
    assert "did you mean algo.loss_type? " in no_such_key("algo.los_type", known)


def test_check_values_serves_constructors() -> None:
    check_values(Cosine, "shape", waves=3)
    with pytest.raises(ValueError, match=r"^shape.waves=0: must be at least 1"):
        check_values(Cosine, "shape", waves=0)


def test_help_has_a_line_for_every_key() -> None:
    said = "\n".join(lines(Root, VALUES))
    for part in ("kind=long", "(long, short)", "shape: of time", "shape.waves=2", "how many"):
        assert part in said
