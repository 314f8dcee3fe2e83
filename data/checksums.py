"""SHA-256 of a large file and of each of its pages, so that a part of it can be verified alone."""

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom
from typing import Any

from storage import file_digest

PAGE = 1 << 22
# Files up to here are read whole at every opening: 0.6 s where a core sums 1.7 GB/s.
WHOLE = 1 << 30
SAMPLED = 64  # pages of a larger one, others at every opening


def checksums(file: Path) -> dict[str, Any]:
    """The checksums that `damage` compares the file with later."""
    whole, pages = hashlib.sha256(), []
    with file.open("rb") as stream:
        while page := stream.read(PAGE):
            whole.update(page)
            pages.append(hashlib.sha256(page).hexdigest())
    return {"bytes": file.stat().st_size, "sha256": whole.hexdigest(), "pages": pages}


def damage(file: Path, sums: Mapping[str, Any], full: bool) -> str | None:
    """The fault of a file of which `sums` were taken, None for nothing. A file above `WHOLE`
    is read whole only where `full` is true, else its first, its last and random pages."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        return f"{file.name} is not a file"
    if status.st_size != sums["bytes"]:
        return f"{file.name} has {status.st_size} bytes, not {sums['bytes']}"
    if full or status.st_size <= WHOLE:
        return None if file_digest(file) == sums["sha256"] else f"{file.name} was changed"
    with file.open("rb") as stream:
        for page in _sample(len(sums["pages"])):
            stream.seek(page * PAGE)
            if hashlib.sha256(stream.read(PAGE)).hexdigest() != sums["pages"][page]:
                return f"{file.name} was changed at byte {page * PAGE} or after"
    return None


def _sample(pages: int) -> list[int]:
    """Not the generators that a run seeds: every opening looks at others."""
    sampled = SystemRandom().sample(range(pages), min(SAMPLED, pages))
    return sorted({0, pages - 1, *sampled})
