"""One holder at a time, named to the others."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from storage import Held, holding


def hold(file: Path) -> None:
    with holding(file, "key"):
        time.sleep(600)


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_the_second_is_told_who_the_first_is_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "run" / "lock"
    first = multiprocessing.get_context("fork").Process(target=hold, args=(file,))
    first.start()
    try:
        while not file.exists() or not file.read_bytes():
            time.sleep(0.01)
        message = rf"^save_dir=x: process {first.pid} on "
        with pytest.raises(Held, match=message), holding(file, "save_dir=x"):
            raise AssertionError
    finally:
        os.kill(first.pid or 0, signal.SIGKILL)
        first.join()
    with holding(file, "key"):
        assert file.exists()
    assert not file.exists()


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    first, second = (holding(tmp_path / "lock", "key") for _ in range(2))
    with first, pytest.raises(Held), second:
        raise AssertionError


def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    with holding(tmp_path / "a" / "b" / "lock", "key"):
        pass
    assert not list(tmp_path.iterdir())
    with holding(tmp_path / "a" / "b" / "lock", "key"):
        (tmp_path / "a" / "kept").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_where_nothing_can_be_written_the_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lock = holding(tmp_path / "file" / "lock", "results_dir=file")
    message = r"^results_dir=file: cannot write there: "
    with pytest.raises(OSError, match=message), lock:
        raise AssertionError


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_said_to_be_none(kind: str, tmp_path: Path) -> None:
    if kind == "file":
        (tmp_path / kind).touch()
    else:
        (tmp_path / kind).symlink_to("/nowhere/at/all")
    message = "^key: cannot write there: not a folder"
    with pytest.raises(OSError, match=message), holding(tmp_path / kind / "lock", "key"):
        raise AssertionError


def test_a_folder_whose_name_is_too_long_is_named_by_its_key(tmp_path: Path) -> None:
    message = "^key: cannot write there: File name too long"
    with pytest.raises(OSError, match=message), holding(tmp_path / ("x" * 300) / "lock", "key"):
        raise AssertionError
