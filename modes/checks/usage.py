"""The text of --help; only the standard library."""

import textwrap
from collections.abc import Iterator
from typing import Any

from modes.checks.groups import GROUPS, options
from modes.settings import Settings
from schema.help import lines

HEAD = """\
python main.py [GROUP=FILE ...] [KEY=VALUE ...]

  GROUP=FILE    takes a file of configs/GROUP, or of --config-dir FOLDER; experiment= is a
                recipe, track= a recipe with rules
  KEY=VALUE     sets one key; -m with KEY=A,B runs each value
  --cfg job     prints the configuration as YAML; --hydra-help: the flags of Hydra
"""


def usage(settings: dict[str, Any]) -> Iterator[str]:
    """How to call the program, the groups with their files, the keys of `settings`."""
    yield HEAD
    for group in GROUPS:
        files = f"{group}: {', '.join(options(group))}"
        yield textwrap.fill(files, 100, subsequent_indent="    ", break_on_hyphens=False)
    yield "\nKeys, with the values of this command:"
    yield from lines(Settings, settings)
