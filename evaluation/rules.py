"""Rules for the values of a record; an error names the field."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from evaluation.words import SURROGATE, UNSHOWN, brief, one_line

LARGEST, SMALLEST = 1e150, 1e-150  # sizes of a number whose square is another
LONGEST_NAME, LONGEST_PATH = 300, 4096  # characters
DEEPEST = 40  # lists and dicts in each other
WHOLE = 2**63 - 1
ROUNDING = 1e-6  # by which a share may miss 0 or 1


class Rule(Protocol):
    def check(self, value: Any, name: str) -> None:
        """ValueError, which begins with `name`, where `value` may not be."""


@dataclass(frozen=True)
class Leaf:
    """A value for which `holds` is true; `words` describe such values."""

    words: str
    holds: Callable[[Any], bool]

    def check(self, value: Any, name: str) -> None:
        if not self.holds(value):
            raise ValueError(f"{one_line(name)}={brief(value)}: {self.words} is required")


def _no_rule(key: str) -> None:
    """Any plain data."""


@dataclass(frozen=True)
class Group:
    """A dict that has the `needed` keys; `known` gives the rule of any other key, None for none."""

    needed: Mapping[str, Rule] = field(default_factory=dict)
    known: Callable[[str], Rule | None] = _no_rule

    def check(self, value: Any, name: str) -> None:
        within = f"{name}." if name else ""
        if not isinstance(value, dict):
            raise ValueError(f"{one_line(name)}={brief(value)}: a dict is required")
        for key in self.needed:
            if key not in value:
                raise ValueError(f"the field {one_line(within)}{key} is missing")
        for key, inner in value.items():
            rule = self.needed.get(key) or self.known(key)
            if rule is not None:
                rule.check(inner, f"{within}{key}")


@dataclass(frozen=True)
class Optional:
    """A value that obeys `rule`, or null."""

    rule: Rule

    def check(self, value: Any, name: str) -> None:
        if value is not None:
            self.rule.check(value, name)


@dataclass(frozen=True)
class Each:
    """A dict whose keys are names and whose values obey `rule`."""

    rule: Rule

    def check(self, value: Any, name: str) -> None:
        Group(known=lambda key: self.rule).check(value, name)
        for key in value:
            NAME.check(key, f"a key of {name}")


@dataclass(frozen=True)
class Row:
    """A list with one value for each of `rules`."""

    rules: tuple[Rule, ...]

    def check(self, value: Any, name: str) -> None:
        if not isinstance(value, list) or len(value) != len(self.rules):
            words = f"a list of {len(self.rules)} is required"
            raise ValueError(f"{one_line(name)}={brief(value)}: {words}")
        for index, (rule, inner) in enumerate(zip(self.rules, value, strict=True)):
            rule.check(inner, f"{name}.{index}")


def number(low: float = -LARGEST, high: float = LARGEST) -> Leaf:
    """A finite number from `low` to `high`."""

    def holds(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return low <= value <= high and (value == 0 or abs(value) >= SMALLEST)

    return Leaf(f"a number from {low:g} to {high:g}", holds)


def whole(low: int = 0, high: int = WHOLE) -> Leaf:
    return Leaf(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def _is_name(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return not UNSHOWN.search(value) and not {"\n", "\t"} & set(value)


NAME = Leaf(f"a text of 1 to {LONGEST_NAME} characters that can be shown", _is_name)
PATH = Leaf(
    f"a path of at most {LONGEST_PATH} characters",
    lambda value: isinstance(value, str) and len(value) <= LONGEST_PATH and "\0" not in value,
)
TEXT = Leaf("a text", lambda value: isinstance(value, str))
FLAG = Leaf("true or false", lambda value: isinstance(value, bool))
SETTING = Leaf(
    "a name, a number, true or false",
    lambda value: _is_name(value) or isinstance(value, bool | int | float),
)
POSITIVE, FROM_0 = number(SMALLEST), number(0)
SHARE = number(-ROUNDING, 1 + ROUNDING)


def faithful(value: Any, name: str, depth: int = 0) -> None:
    """ValueError, naming the field, for plain data that not every reader of JSON takes as it is."""
    if depth > DEEPEST:
        raise ValueError(f"{one_line(name)[:80]}: more than {DEEPEST} lists and dicts deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            faithful(key, f"a key of {name or 'the record'}", depth + 1)
            faithful(inner, f"{name}.{key}" if name else key, depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            faithful(inner, f"{name}.{index}", depth + 1)
    elif isinstance(value, str) and SURROGATE.search(value):
        raise ValueError(f"{one_line(name)}={brief(value)}: half a character (a lone surrogate)")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{one_line(name)}={value}: a finite number is required")
    elif isinstance(value, int) and abs(value) > 10**300:
        raise ValueError(f"{one_line(name)}: a whole number that no float64 holds")
