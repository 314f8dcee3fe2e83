"""A folder that one process at a time may write, with the name of the one that does."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from storage.atomic import NO_LOCKS


class Held(ValueError):
    """Another process has the lock; the message says which."""


@contextmanager
def holding(file: Path, key: str) -> Iterator[None]:
    """Keeps `file` locked while the block runs, and removes it afterwards; the system frees the
    lock of a process that dies. Held, which begins with `key`, where another process has it;
    OSError where nothing can be written."""
    try:
        created = [folder for folder in file.parents if not folder.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        stream = _locked(file, key)
    except FileExistsError as error:  # a file, or a link that leads nowhere
        raise OSError(f"{key}: cannot write there: not a folder; a folder is needed") from error
    except OSError as error:
        raise OSError(f"{key}: cannot write there: {error.strerror}") from error
    try:
        if stream.writable():
            _sign(stream)
        yield
    finally:
        with suppress(PermissionError):  # another user's, in a folder such as /tmp: it stays
            file.unlink(missing_ok=True)
        stream.close()
        for folder in created:  # nothing was written: the folder goes too
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _sign(stream: IO[bytes]) -> None:
    holder = {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    stream.truncate(0)
    stream.write(json.dumps(holder).encode())
    stream.flush()


def _opened(file: Path) -> IO[bytes]:
    """The file of a lock, made where there is none. One that another user left can be locked by
    whoever reads it."""
    try:
        return _for_writing(file)
    except PermissionError:
        if not os.access(file, os.R_OK):
            raise
    try:
        return file.open("rb", buffering=0)
    except FileNotFoundError:  # just removed
        return _for_writing(file)


def _for_writing(file: Path) -> IO[bytes]:
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)


def _locked(file: Path, key: str) -> IO[bytes]:
    while True:
        stream = _opened(file)
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with stream:
                raise Held(f"{key}: {_holder(stream)} is writing there; wait for it") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                stream.close()
                if error.errno == errno.EBADF:  # NFS locks only what can be written
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from error
                raise
        if _same(file, stream):
            return stream
        stream.close()  # its last holder removed it before this lock was had


def _same(file: Path, stream: IO[bytes]) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _holder(stream: IO[bytes]) -> str:
    stream.seek(0)
    try:
        holder = json.loads(stream.read())
        return f"process {holder['process']} on {holder['host']} (since {holder['since']})"
    except (ValueError, KeyError, TypeError):  # it has only just begun
        return "another process"
