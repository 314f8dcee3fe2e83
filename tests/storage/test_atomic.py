"""Files are whole or absent, whenever their writer is stopped."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from storage import new_file, replacing, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced_and_nothing_else_remains(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.json"
    write_atomic(file, "one")
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert names(file.parent) == ["a.json"]


def test_an_exception_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    write_atomic(file, "old")
    with pytest.raises(RuntimeError), replacing(file) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert file.read_text() == "old" and names(tmp_path) == ["a"]


def test_a_new_file_never_takes_a_name_that_is_taken(tmp_path: Path) -> None:
    new_file(tmp_path / "a", "first")
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first" and names(tmp_path) == ["a"]


def test_a_new_file_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    new_file(tmp_path / "a", "first")
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first" and names(tmp_path) == ["a"]


def write_half(file: Path) -> None:
    with replacing(file) as stream:
        stream.write(b"half")
        stream.flush()
        time.sleep(600)


def half_written(file: Path) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=write_half, args=(file,))
    process.start()
    while not any(".part" in name for name in names(file.parent)):
        time.sleep(0.01)
    time.sleep(0.05)
    return process


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_what_a_killed_writer_left_goes_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    living, dead = half_written(tmp_path / "living"), None
    try:
        left = set(names(tmp_path))
        dead = multiprocessing.get_context("fork").Process(
            target=write_half, args=(tmp_path / "dead",)
        )
        dead.start()
        while len(names(tmp_path)) < 2:
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(dead.pid or 0, signal.SIGKILL)
        dead.join()
        assert len(names(tmp_path)) == 2
        write_atomic(tmp_path / "other", "x")
        assert set(names(tmp_path)) == left | {"other"}
    finally:
        living.kill()
        living.join()


def test_files_of_others_stay(tmp_path: Path) -> None:
    for name in (".a.part", ".hidden", "b.0123456789abcdef0123456789abcdef.part"):
        (tmp_path / name).touch()
    write_atomic(tmp_path / "new", "")
    assert len(names(tmp_path)) == 4


def test_a_long_name(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("x" * 255), "long")
    assert names(tmp_path) == ["x" * 255]
