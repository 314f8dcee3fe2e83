"""The groups of configs/, their files, and the text of --help; only the standard library."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from modes.settings import Settings, stored
from schema.help import lines

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GROUPS = sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir())
HEAD = """\
python main.py [GROUP=FILE ...] [KEY=VALUE ...]

  GROUP=FILE    takes a file of configs/GROUP, or of --config-dir FOLDER; experiment= is a
                recipe, track= a recipe with rules
  KEY=VALUE     sets one key; -m with KEY=A,B runs each value
  --cfg job     prints the configuration as YAML; --hydra-help: the flags of Hydra
"""


def is_group(key: str) -> bool:
    return key in GROUPS


def choices(group: str) -> str:
    return ", ".join(sorted(file.stem for file in (CONFIGS / group).glob("*.yaml")))


def addable(override: str) -> str:
    """An override with as many `+` as Hydra needs to take it: none for a group and its own keys,
    two for a key, since the settings say themselves which keys there are."""
    plain = override.lstrip("+")
    key = plain.partition("=")[0]
    ours = re.fullmatch(r"\w[\w.]*", key) and not key.startswith("hydra.")
    return f"++{plain}" if ours and "=" in plain and not is_group(key) else plain


def usage(settings: Settings) -> Iterator[str]:
    """How to call the program, the groups with their files, the keys of `settings`."""
    yield HEAD
    for group in GROUPS:
        files = f"{group}: {choices(group)}"
        yield textwrap.fill(files, 100, subsequent_indent="    ", break_on_hyphens=False)
    yield "\nKeys, with the values of this command:"
    yield from lines(Settings, stored(settings))
