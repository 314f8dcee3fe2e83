"""Rules for the values of a record; an error names the field."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from evaluation.words import SURROGATE, UNSHOWN, brief, one_line

LARGEST, SMALLEST = 1e150, 1e-150  # sizes of a number whose square is another
LONGEST_NAME, LONGEST_PATH = 300, 4096  # characters
DEEPEST = 40  # lists and dicts in each other
WHOLE = 2**63 - 1
ROUNDING = 1e-6  # by which a share may miss 0 or 1

# ValueError, which begins with the name, where the value may not be.
Rule = Callable[[Any, str], None]


def leaf(words: str, holds: Callable[[Any], bool]) -> Rule:
    """A value for which `holds` is true; `words` describe such values."""

    def check(value: Any, name: str) -> None:
        if not holds(value):
            raise ValueError(f"{one_line(name)}={brief(value)}: {words} is required")

    return check


def any_data(key: str) -> None:
    """No rule for any key."""


def group(
    needed: Mapping[str, Rule] | None = None, known: Callable[[str], Rule | None] = any_data
) -> Rule:
    """A dict that has the `needed` keys; `known` gives the rule of any other key, None for none."""
    needed = needed or {}

    def check(value: Any, name: str) -> None:
        within = f"{name}." if name else ""
        if not isinstance(value, dict):
            raise ValueError(f"{one_line(name)}={brief(value)}: a dict is required")
        for key in needed:
            if key not in value:
                raise ValueError(f"the field {one_line(within)}{key} is missing")
        for key, inner in value.items():
            rule = needed.get(key) or known(key)
            if rule is not None:
                rule(inner, f"{within}{key}")

    return check


def or_null(rule: Rule) -> Rule:
    """A value that obeys `rule`, or null."""
    return lambda value, name: None if value is None else rule(value, name)


def each(rule: Rule) -> Rule:
    """A dict whose keys are names and whose values obey `rule`."""

    def check(value: Any, name: str) -> None:
        group(known=lambda key: rule)(value, name)
        for key in value:
            NAME(key, f"a key of {name}")

    return check


def row(*rules: Rule) -> Rule:
    """A list with one value for each of `rules`."""

    def check(value: Any, name: str) -> None:
        if not isinstance(value, list) or len(value) != len(rules):
            words = f"a list of {len(rules)} is required"
            raise ValueError(f"{one_line(name)}={brief(value)}: {words}")
        for index, (rule, inner) in enumerate(zip(rules, value, strict=True)):
            rule(inner, f"{name}.{index}")

    return check


def number(low: float = -LARGEST, high: float = LARGEST) -> Rule:
    """A finite number from `low` to `high`."""

    def holds(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return low <= value <= high and (value == 0 or abs(value) >= SMALLEST)

    return leaf(f"a number from {low:g} to {high:g}", holds)


def whole(low: int = 0, high: int = WHOLE) -> Rule:
    return leaf(
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def is_name(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        return False
    return not UNSHOWN.search(value) and not {"\n", "\t"} & set(value)


NAME = leaf(f"a text of 1 to {LONGEST_NAME} characters that can be shown", is_name)
PATH = leaf(
    f"a path of at most {LONGEST_PATH} characters",
    lambda value: isinstance(value, str) and len(value) <= LONGEST_PATH and "\0" not in value,
)
TEXT = leaf("a text", lambda value: isinstance(value, str))
FLAG = leaf("true or false", lambda value: isinstance(value, bool))
SETTING = leaf(
    "a name, a number, true or false",
    lambda value: is_name(value) or isinstance(value, bool | int | float),
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
