"""Lines for what Hydra refuses, and notes; only the standard library."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modes.checks.groups import choices
from schema.check import UnknownKeys
from training.signals import is_first_process


def note(line: str) -> None:
    """One line on stderr, by the first of several processes."""
    if is_first_process():
        print(f"note: {line}", file=sys.stderr)


def of_rows(error: UnknownKeys) -> list[str]:
    """A line for each of the keys, as the rows of a benchmark see it."""
    if not all(key.startswith("algo.") for key in error.keys):
        return str(error).splitlines()
    line = "not every algorithm of benchmark.algos has this key; of one alone, give algo= as well"
    return [f"{key}: {line}" for key in error.keys]


def of_file(error: OSError, paths: Mapping[str, Any]) -> str:
    """The system's complaint about a file, behind the key of `paths` that leads to it."""
    name = error.filename2 or error.filename
    if not isinstance(name, str):
        return str(error)
    file = Path(name).absolute()
    leading = []
    for key, value in paths.items():
        for text in [value] if isinstance(value, str | None) else value:
            path = Path(os.path.expanduser(text or "")).absolute()  # noqa: PTH111 it may raise
            if text and path in (file, *file.parents):
                leading.append((len(path.parts), f"{key}={text}", path))
    if not leading:
        return str(error)
    _, setting, path = max(leading)
    return f"{setting}: {error.strerror}" + (f" ({name})" if path != file else "")


def of_composition(text: str, cause: BaseException | None) -> str:
    """One line: the key, the value, what is allowed."""
    if match := re.search(r"Could not find '([\w-]+)/(.+)'", text):
        group, value = match.groups()
        return f"{group}={value}: choose from {choices(group)}"
    if match := re.search(
        r"In '(.+?)': \w+ raised while composing \w+:\s+(.+?)\s+full_key: (\S+)", text
    ):
        file, reason, key = match.groups()
        explanation = "there is no such key" if reason.startswith("Key ") else reason
        return f"{key}: {explanation} ({file}.yaml)"
    if "Error merging override" in text and cause is not None:
        reason = str(cause).splitlines()[0]
        return f"{text.removeprefix('Error merging override ').strip().lstrip('+')}: {reason}"
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def of_grammar(override: str, reason: str) -> str:
    """A value that Hydra's grammar cannot read, and how it is a text."""
    override = override.lstrip("+")
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override}: KEY=VALUE is needed"
    quoted = value.replace('"', r"\"")
    first_line = reason.strip().splitlines()[0].partition("See https")[0].strip()
    why = f" ({first_line})" if first_line and "Exception" not in first_line else ""
    return f"{override}: cannot be read{why}; in quotes it is a text: " + shlex.quote(
        f'{key}="{quoted}"'
    )
