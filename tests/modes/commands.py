"""Commands of main.py within the test's own process: a tenth of the time of one in a process of its
own, which first imports, and then touches, all that a command needs."""

import contextlib
import io
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import main


def run(arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `forked.run`; the folder, the environment and the streams of this process come back."""
    line = [str(main.ROOT / "main.py"), *arguments]
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        same_environment(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", line)
        patch.setattr(main, "REFUSED_JOBS", [])
        code = status()
    return subprocess.CompletedProcess(line, code, out.getvalue(), err.getvalue())


def status() -> int:
    """The exit status of the program, whose last words are printed as an interpreter does."""
    try:
        main.command_line()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@contextlib.contextmanager
def same_environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
