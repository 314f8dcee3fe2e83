"""Folders that several users share, also on NFS: what one of them left behind stops no other."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.batch_cache import clear_recorded
from storage import Held, holding, replacing_folder, write_atomic

PART = f".a.{'0' * 32}"


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a file, or a folder, that of another user in a folder such as /tmp, for a test that may
    run as root: it cannot be written, moved or removed."""
    names: set[str] = set()

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Any, *more: Any, **options: Any) -> Any:
            reads = call is os.open and not (more and more[0] & os.O_ACCMODE)
            if str(path) in names and not reads:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return call(path, *more, **options)

        return checked

    for name in ("open", "unlink", "rename", "rmdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    monkeypatch.setattr("shutil.rmtree", refusing(shutil.rmtree))
    return lambda path: names.add(str(path))


@pytest.fixture
def nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux emulates locks there: an exclusive one needs a file that is open for writing."""
    flock = fcntl.flock

    def emulated(file: Any, operation: int) -> None:
        number = file if isinstance(file, int) else file.fileno()
        mode = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and mode == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", emulated)


def left(file: Path) -> Path:
    file.write_text(json.dumps({"host": "h", "process": 1, "since": "then"}))
    return file


def test_the_lock_that_another_user_left_can_be_had(
    tmp_path: Path, theirs: Callable[[Path], None]
) -> None:
    file = left(tmp_path / "lock")
    theirs(file)
    for _ in range(2):
        with holding(file, "key"), pytest.raises(Held), holding(file, "key"):
            raise AssertionError
    assert file.exists()  # nobody else could remove it


def test_the_lock_that_another_user_holds_is_said_to_be_held(
    tmp_path: Path, theirs: Callable[[Path], None]
) -> None:
    file = left(tmp_path / "lock")
    with file.open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        theirs(file)
        message = r"^key: process 1 on h \(since then\)"
        with pytest.raises(Held, match=message), holding(file, "key"):
            raise AssertionError


@pytest.mark.usefixtures("nfs")
def test_the_lock_of_another_user_on_nfs_is_refused_in_a_line(
    tmp_path: Path, theirs: Callable[[Path], None]
) -> None:
    file = left(tmp_path / "lock")
    theirs(file)
    message = "^key: cannot write there: Permission denied"
    with pytest.raises(OSError, match=message), holding(file, "key"):
        raise AssertionError


@pytest.mark.usefixtures("nfs")
def test_what_a_killed_writer_left_on_nfs_goes(tmp_path: Path) -> None:
    (tmp_path / f"{PART}.part").touch()
    write_atomic(tmp_path / "b", "content")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("end", ["partial", "old"])
@pytest.mark.parametrize("is_there", [False, True])
def test_the_folder_that_another_user_left_unfinished_stays(
    tmp_path: Path, theirs: Callable[[Path], None], end: str, is_there: bool
) -> None:
    (tmp_path / f"{PART}.{end}").mkdir()
    if is_there:
        (tmp_path / "a").mkdir()
    theirs(tmp_path / f"{PART}.{end}")
    with replacing_folder(tmp_path / "a") as new:
        (new / "file").touch()
    assert (tmp_path / "a" / "file").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{PART}.{end}", "a"]


def test_the_batches_of_another_user_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unfinished-0").mkdir()

    def denied(folder: Path) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr("evaluation.batch_cache.read_note", denied)
    clear_recorded(tmp_path)
    assert (tmp_path / "unfinished-0").is_dir()
