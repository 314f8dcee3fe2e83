"""Files that others wrote, read whole: what is no plain file, or too large a one, is refused; and
those that are named by the time and their digest."""

import hashlib
import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation.words import one_line
from storage import write_atomic

SHORTEST = 8  # letters of a digest in a name
KINDS: dict[str, Callable[[int], bool]] = {
    "a folder": stat.S_ISDIR,
    "a pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def read_whole(file: Path, most: int) -> bytes:
    """The bytes of a file, at most `most`; OSError where they cannot be read, ValueError, without
    the name, for anything but a plain file of that size. Nothing else is opened, since that may
    wait for ever."""
    mode = file.stat().st_mode
    kind = next((words for words, holds in KINDS.items() if holds(mode)), None)
    if kind is not None:
        raise ValueError(f"{kind}, not a file")
    with file.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes: too large to be read here")
    return content


def read_named(file: Path, most: int) -> bytes:
    """The bytes of a file whose name ends in the beginning of its digest; ValueError where its
    contents have another one."""
    content = read_whole(file, most)
    stated, mark = file.stem.rpartition("-")[2], hashlib.sha256(content).hexdigest()
    if len(stated) < SHORTEST or not mark.startswith(stated):
        raise ValueError(f"edited: its contents have the digest {mark[:16]}")
    return content


def parse_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark; ValueError else."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON, or half-written ({error})") from error


def write_stamped(folder: Path, name: str, suffix: str, content: str) -> Path:
    """The path of a new file, whose name has the time and a digest of its content."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    mark = hashlib.sha256(content.encode()).hexdigest()[:SHORTEST]
    file = folder / f"{stamp}-{name}-{mark}{suffix}"
    write_atomic(file, content)
    return file


def why(error: Exception, file: object) -> str:
    """The fault of a file in one line."""
    if isinstance(error, OSError):
        return one_line(f"{file}: {error.strerror}")
    return one_line(f"{file}: {error}")
