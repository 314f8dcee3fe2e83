"""The groups of configs/ and the files in them; only the standard library."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from modes.checks.keys import may_be_added

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ONE_SCHEMA = {"model": "nano", "optim": "adamw", "strategy": "auto", "trainer": "default"}
_KEY = re.compile(r"^(\w+):", re.MULTILINE)
OF_CORPUS = {"hub": "wikitext2", "markov": "markov", "stdlib": "stdlib", "text": "text"}


def is_group(key: str) -> bool:
    return bool(re.fullmatch(r"\w+", key)) and (CONFIGS / key).is_dir()


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))


def choices(group: str) -> str:
    return ", ".join(options(group))


def keys_of_runs(arguments: Sequence[str]) -> set[str]:
    """Keys of data that may be given though the group's file at hand lacks them: those of any file,
    where the text is that of the run to evaluate."""
    of_run = any(text.startswith("eval.checkpoint_path=") for text in arguments)
    if not of_run or any(text.startswith("data=") for text in arguments):
        return set()
    files = (CONFIGS / "data").glob("*.yaml")
    return {f"data.{name}" for file in files for name in _KEY.findall(file.read_text("utf-8"))}


def tolerated(override: str, of_run: Collection[str] = ()) -> str:
    """An override with as many `+` as Hydra needs, which is none for a group; more for the keys
    `of_run`."""
    plain = override.lstrip("+")
    key = plain.partition("=")[0]
    if is_group(key):
        return plain
    added = plain != override or may_be_added(key) or key in of_run
    return f"++{plain}" if added else override


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
