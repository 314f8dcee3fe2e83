"""The grammar of prompts, gaps and tasks, as far as their text alone can be wrong.

Only the standard library, so that a mistake is refused within the first second."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple, Protocol

GIVEN = ("prompt", "infill", "tasks")
KINDS = ({"prompt"}, {"prompt", "suffix"}, {"infill"}, {"tokens"})
OF_LINE = {"id", "infill", "length", "prompt", "suffix", "tokens"}
_GAP = re.compile(r"(\\*)\[\.\.\.([0-9]{0,9})\]")
_SHOWN = 60  # characters of a text in a message


class Gap(NamedTuple):
    """Positions to draw between texts; `tokens` is None for a share of what is left."""

    tokens: int | None


class Given(Protocol):
    """The keys of `sampling` that say which tokens are given, and how many there are."""

    @property
    def prompt(self) -> str | None: ...
    @property
    def infill(self) -> str | None: ...
    @property
    def tasks(self) -> str | None: ...
    @property
    def length(self) -> int | None: ...


def given_keys(sampling: Given) -> list[str]:
    """Those of GIVEN that are set."""
    return [key for key in GIVEN if getattr(sampling, key) is not None]


def check_tasks_early(sampling: Given) -> None:
    """Checks the strings of sampling.prompt, sampling.infill or the file sampling.tasks. ValueError
    or FileNotFoundError in one line; none of the three is fine."""
    keys = given_keys(sampling)
    if len(keys) > 1:
        named = " and ".join(f"sampling.{key}" for key in keys)
        raise ValueError(f"{named}: give only one of them")
    if sampling.tasks is not None:
        read_lines(Path(sampling.tasks))
    if sampling.prompt is not None:
        check_text(sampling.prompt, label("prompt", sampling.prompt))
    if sampling.infill is not None:
        where = label("infill", sampling.infill)
        check_text(sampling.infill, where)
        parts_of(sampling.infill, where)


def label(key: str, text: Any) -> str:
    """The name of a text of the command line in a message."""
    cut = isinstance(text, str) and len(text) > _SHOWN
    return f"sampling.{key}={text[:_SHOWN] + '...' if cut else text!r}"


def check_text(text: Any, where: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{where}: must be a text, not of type {type(text).__name__}")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{where}: holds bytes that are no UTF-8 text")


def parts_of(infill: str, where: str) -> list[str | Gap]:
    r"""Texts and gaps in turn: [...] is a gap, [...12] one of 12 tokens, \[...] stands for itself.
    Of backslashes in front of a gap, each two stand for one. ValueError without a gap."""
    parts: list[str | Gap] = [""]
    end = 0
    for match in _GAP.finditer(infill):
        slashes, count = match.groups()
        literal = infill[match.end(1) : match.end()] if len(slashes) % 2 else ""
        before = infill[end : match.start()] + slashes[: len(slashes) // 2]
        parts[-1] = f"{parts[-1]}{before}{literal}"
        end = match.end()
        if literal:
            continue
        if count and int(count) < 1:
            raise ValueError(f"{where}: the gap [...{count}] has no token; at least 1 is needed")
        parts += [Gap(int(count) if count else None), ""]
    parts[-1] = f"{parts[-1]}{infill[end:]}"
    if len(parts) == 1:
        raise ValueError(f"{where}: there is no gap in it; write [...], or [...12] for 12 tokens")
    return parts


def read_lines(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """The tasks of a jsonl file as they are written there, each with how a message names it.
    FileNotFoundError without the file, ValueError for what is no task."""
    key = f"sampling.tasks={file}"
    if not file.is_file():
        raise FileNotFoundError(f"{key}: there is no such file")
    rows = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if line.strip():
            rows.append((f"{key} line {number}", _line(line, f"{key} line {number}")))
    if not rows:
        raise ValueError(f"{key}: there is no task in it; a JSON object per line is needed")
    return rows


def _line(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f'{where}: must be a JSON object such as {{"prompt": "Once"}}')
    if unknown := sorted(row.keys() - OF_LINE):
        raise ValueError(
            f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(OF_LINE))}"
        )
    kind = row.keys() - {"id", "length"}
    if kind not in KINDS:
        raise ValueError(
            f"{where}: needs prompt, prompt and suffix, infill, or tokens; "
            f"it has {', '.join(sorted(kind)) or 'none of them'}"
        )
    for key in sorted(kind - {"tokens"}):
        check_text(row[key], f"{where}, {key}")
    _check_numbers(row, where)
    if "infill" in row:
        parts_of(row["infill"], where)
    return row


def _check_numbers(row: dict[str, Any], where: str) -> None:
    length, tokens = row.get("length", 2), row.get("tokens", [None])
    if type(length) is not int or length < 2:
        raise ValueError(f"{where}: length={length!r} must be a whole number of at least 2")
    if not isinstance(row.get("id", ""), str | int):
        raise ValueError(f"{where}: id={row['id']!r} must be a text or a whole number")
    if not isinstance(tokens, list) or any(type(i) not in (int, type(None)) for i in tokens):
        raise ValueError(f"{where}: tokens must be a list of token ids, with null for a gap")
