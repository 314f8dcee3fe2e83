"""Files that are whole or absent: written beside under a name of their own, synced, then moved into
place. A writer that was killed leaves one unfinished file, which the next writer in that folder
removes."""

import errno
import fcntl
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}\.part")
# A file system without locks says nothing about the writer: older than this, nobody writes it.
ABANDONED_SECONDS = 3600.0
NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, a quota, the limit of a file's size


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content becomes `path` when the block ends without an exception, in one
    step; otherwise `path` stays as it was. Makes the folder."""
    with _beside(path) as (stream, name):
        yield stream
        _flush(stream)
        name.replace(path)
    sync(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """`content` as the file `path`, text in UTF-8, in the place of what was there."""
    with replacing(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())


def new_file(path: Path, content: bytes | str) -> None:
    """`content` as the new file `path`, whole at once; FileExistsError where the name is taken."""
    with _beside(path) as (stream, name):
        stream.write(content if isinstance(content, bytes) else content.encode())
        _flush(stream)
        try:
            os.link(name, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links there: the name is looked at, then taken
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            name.replace(path)
    sync(path.parent)


@contextmanager
def _beside(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A locked new file in the folder of `path`, gone afterwards unless it was moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path.parent)
    stream, name = _locked_new(path)
    try:
        with naming(path), stream:
            yield stream, name
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names `path` in the system's complaint that there is no room, which comes without a name
    where it answers a write."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise


def _locked_new(path: Path) -> tuple[IO[bytes], Path]:
    while True:
        # A name may have 255 bytes.
        name = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.part")
        stream = name.open("xb")
        try:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            if os.fstat(stream.fileno()).st_nlink:
                return stream, name
        except BaseException:
            stream.close()
            name.unlink(missing_ok=True)
            raise
        stream.close()  # somebody cleaned up between the making and the lock


def remove_unfinished(folder: Path) -> None:
    """Removes what writers left in `folder` that are gone."""
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if UNFINISHED.fullmatch(entry.name)]
    for name in names:
        _remove_abandoned(Path(name))


def _remove_abandoned(name: Path) -> None:
    try:
        with name.open("r+b") as stream:  # NFS locks only what can be written
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name.unlink(missing_ok=True)
    # Its writer lives; it was moved into place, or removed by another; it is another user's.
    except (BlockingIOError, FileNotFoundError, PermissionError):
        return
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _remove_old(name)


def _remove_old(name: Path) -> None:
    """Time as the file system has it, whose clock may not be this machine's."""
    probe = name.with_name(f".clock.{uuid.uuid4().hex}.part")
    probe.touch()
    try:
        now = probe.stat().st_mtime
        if name.exists() and now - name.stat().st_mtime > ABANDONED_SECONDS:
            name.unlink(missing_ok=True)
    finally:
        probe.unlink(missing_ok=True)


def _flush(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())


def sync(path: Path) -> None:
    """Puts a file on disk, or a folder, with what was renamed in it; some file systems cannot be
    asked."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    finally:
        os.close(descriptor)


def file_digest(file: Path) -> str:
    """SHA-256 of the bytes of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
