"""The groups of configs/ and the files in them; only the standard library."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modes.checks.keys import may_be_added

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ONE_SCHEMA = {"model": "nano", "optim": "adamw", "strategy": "auto", "trainer": "default"}
OF_CORPUS = {"hub": "wikitext2", "markov": "markov", "stdlib": "stdlib", "text": "text"}


def is_group(key: str) -> bool:
    return bool(re.fullmatch(r"\w+", key)) and (CONFIGS / key).is_dir()


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))


def choices(group: str) -> str:
    return ", ".join(options(group))


def tolerated(override: str) -> str:
    """An override with as many `+` as Hydra needs, which is none for a group."""
    plain = override.lstrip("+")
    key = plain.partition("=")[0]
    if is_group(key):
        return plain
    return f"++{plain}" if plain != override or may_be_added(key) else override


def schemas(chosen: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The choices of groups whose keys `settings` must have: of a file of the user's own, the
    one of ours that it takes the place of."""
    return [
        f"{group}={_shipped(group, choice, settings.get(group) or {})}"
        for group, choice in chosen.items()
        if choice is not None and is_group(group) and group != "experiment"
    ]


def _shipped(group: str, choice: str, value: Mapping[str, Any]) -> str:
    known = options(group)
    name, corpus = value.get("name"), OF_CORPUS.get(value.get("corpus", ""))
    if choice in known:
        return choice
    return name if name in known else corpus or ONE_SCHEMA.get(group, choice)
