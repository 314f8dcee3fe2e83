"""Names of files for libraries that take text alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def utf8_name(file: Path) -> Iterator[Path]:
    """A name of `file` that is UTF-8 and leads to it while the block runs: its own, or that of its
    descriptor where a folder above has a name of other bytes, as older systems made them."""
    try:
        str(file).encode()
    except UnicodeEncodeError:
        with file.open("rb") as stream:
            yield Path(f"/dev/fd/{stream.fileno()}")
        return
    yield file
