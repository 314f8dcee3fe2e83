"""SHA-256 of a large file and of each of its pages, so that a part of it can be verified alone."""

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom
from typing import IO, Any

PAGE = 1 << 22
# Files up to here are read whole at every opening: 0.6 s where a core sums 1.7 GB/s.
WHOLE = 1 << 30
SAMPLED = 64  # pages of a larger one, others at every opening
_CHUNK = 1 << 20


class Summed:
    """A binary stream that sums what is written through it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._whole, self._page = hashlib.sha256(), hashlib.sha256()
        self._pages: list[str] = []
        self._bytes = 0

    def write(self, content: bytes) -> None:
        self._stream.write(content)
        self._whole.update(content)
        rest = memoryview(content)
        while rest:
            room = PAGE - self._bytes % PAGE
            self._page.update(rest[:room])
            self._bytes += len(rest[:room])
            rest = rest[room:]
            if self._bytes % PAGE == 0:
                self._end_page()

    def _end_page(self) -> None:
        self._pages.append(self._page.hexdigest())
        self._page = hashlib.sha256()

    def sums(self) -> dict[str, Any]:
        """The checksums that `damage` compares the finished file with."""
        if self._bytes % PAGE:
            self._end_page()
        return {"bytes": self._bytes, "sha256": self._whole.hexdigest(), "pages": self._pages}


def are_sums(value: Any) -> bool:
    """Whether a value has the form of `Summed.sums`."""
    if not isinstance(value, dict) or value.keys() != {"bytes", "sha256", "pages"}:
        return False
    size, pages = value["bytes"], value["pages"]
    if type(size) is not int or size < 0 or not isinstance(pages, list):
        return False
    return len(pages) == -(-size // PAGE) and all(
        isinstance(digest, str) for digest in (value["sha256"], *pages)
    )


def damage(file: Path, sums: Mapping[str, Any], full: bool) -> str | None:
    """The fault of a file of which `sums` were taken, None for nothing. A file above `WHOLE`
    is read whole only where `full` is true, else its first, its last and random pages."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        return f"{file.name} is not a file"
    if status.st_size != sums["bytes"]:
        return f"{file.name} has {status.st_size} bytes, not {sums['bytes']}"
    with file.open("rb") as stream:
        if full or status.st_size <= WHOLE:
            changed = _sum(stream, status.st_size) != sums["sha256"]
            return f"{file.name} was changed" if changed else None
        for page in _sample(len(sums["pages"])):
            stream.seek(page * PAGE)
            if _sum(stream, PAGE) != sums["pages"][page]:
                return f"{file.name} was changed at byte {page * PAGE} or after"
    return None


def _sample(pages: int) -> list[int]:
    """Not the generators that a run seeds: every opening looks at others."""
    sampled = SystemRandom().sample(range(pages), min(SAMPLED, pages))
    return sorted({0, pages - 1, *sampled})


def _sum(stream: IO[bytes], size: int) -> str:
    """SHA-256 of the next `size` bytes, or of those that are left."""
    total = hashlib.sha256()
    while size > 0 and (content := stream.read(min(_CHUNK, size))):
        total.update(content)
        size -= len(content)
    return total.hexdigest()
