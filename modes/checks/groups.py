"""The groups of configs/ and the files in them; only the standard library."""

import re
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GROUPS = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())


def is_group(key: str) -> bool:
    return key in GROUPS


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml"))


def choices(group: str) -> str:
    return ", ".join(options(group))


def addable(override: str) -> str:
    """An override with as many `+` as Hydra needs to take it: none for a group and its own keys,
    two for a key, since the settings say themselves which keys there are."""
    plain = override.lstrip("+")
    key = plain.partition("=")[0]
    ours = re.fullmatch(r"\w[\w.]*", key) and not key.startswith("hydra.")
    return f"++{plain}" if ours and "=" in plain and not is_group(key) else plain
