"""The system's complaints about files name the setting that leads there."""

import errno
import os
from pathlib import Path

import pytest

from modes.checks.messages import of_file
from tests.modes.conftest import Command

LONG = "x" * 300


@pytest.mark.parametrize(
    "overrides",
    [
        "mode=train checkpointing.save_dir=",
        "mode=leaderboard results_dir=",
        "mode=export export.path=there eval.checkpoint_path=",
    ],
)
def test_a_name_that_is_too_long_is_refused_by_its_key(command: Command, overrides: str) -> None:
    done = command(*f"{overrides}{LONG}".split())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {overrides.split()[-1]}{LONG}: ")
    assert "Traceback" not in done.stderr


def test_a_file_is_named_by_the_innermost_setting(tmp_path: Path) -> None:
    paths = {
        "results_dir": [str(tmp_path)],
        "data.path": str(tmp_path / "text"),
        "sampling.tasks": None,
        "eval.checkpoint_path": "elsewhere",
    }
    inner = tmp_path / "text" / "a.txt"
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(inner))
    assert of_file(denied, paths) == f"data.path={inner.parent}: Permission denied ({inner})"
    denied.filename = str(inner.parent)
    assert of_file(denied, paths) == f"data.path={inner.parent}: Permission denied"
    moved = OSError(errno.EISDIR, "Is a directory", ".part", None, str(tmp_path / "record"))
    where = f"results_dir={tmp_path}: Is a directory ({tmp_path}/record)"
    assert of_file(moved, paths) == where


def test_a_file_that_no_setting_leads_to_is_named_alone() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied", "/etc/x")
    assert of_file(denied, {"data.path": "text"}) == str(denied)
    assert of_file(OSError(errno.ENOSPC, "full"), {"data.path": "text"}) == "[Errno 28] full"
