"""The rows of a benchmark on this machine, one after another, each in a process of its own: its
memory is measured alone, and its failure ends no other."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from modes.benchmark.progress import Overview
from modes.benchmark.runs import MARK, Row
from modes.benchmark.slurm import command
from training.signals import Stopped, StopSignals

LOG = "benchmark.log"  # in the run directory: the output of a row
PARENT = "BENCHMARK_PARENT"  # the process that a row must not outlive
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
GOES_ON = "are kept; the same command goes on from there"
BAR_SECONDS = "0.5"  # between two states of a row's bar, which the overview follows
PERCENT = re.compile(r"(\d+)%\|")  # in a progress bar


def run_all(
    rows: Sequence[tuple[Row, Sequence[str]]],
    overrides: Sequence[str],
    overview: Overview,
    signals: StopSignals,
) -> list[str]:
    """A line for each that failed of `rows` with their unfinished stages, after all have been
    run."""
    failures = []
    for done, (row, stages) in enumerate(rows):
        overview.begin(row.name, stages)
        started = time.monotonic()
        signals.kept = f"{done} of {len(rows)} rows and what {row.name} has done {GOES_ON}"
        log = Path(row.folder) / LOG
        reason = _run([*command(overrides), f"benchmark.row={row.number}"], log, overview)
        if reason is None:
            overview.end(f"{row.name}: done, {time.monotonic() - started:.0f} s")
        else:
            failures.append(f"failed: {row.name}, {overview.stage}: {reason} ({log})")
            overview.end(failures[-1])
    return failures


def _run(line: list[str], log: Path, overview: Overview) -> str | None:
    """The reason why the process of a row failed, None where it did not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {PARENT: str(os.getpid()), "TQDM_MININTERVAL": BAR_SECONDS}
    with (
        log.open("ab", buffering=0) as stream,
        # A session of its own: Ctrl-C comes from here, once.
        subprocess.Popen(
            line,
            stdout=stream,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        ) as child,
    ):
        assert child.stderr is not None
        try:
            reason = _follow(child.stderr, stream, overview)
        except Stopped as stopped:  # the row keeps what it has
            child.send_signal(stopped.number)
            _follow(child.stderr, stream, overview)
            raise
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return f"ended by {name}" + (", for want of memory?" if name == "SIGKILL" else "")
    return (reason or f"exit status {child.returncode}") if child.returncode else None


def _follow(stderr: IO[bytes], log: Any, overview: Overview) -> str:
    """The last line of a row's stderr: bars and stages go to the overview, the rest to the log."""
    rest = last = ""
    while chunk := os.read(stderr.fileno(), 1 << 16):
        *parts, rest = re.split(r"[\r\n]", rest + chunk.decode(errors="replace"))
        for part in filter(str.strip, parts):
            if part.startswith(MARK):
                overview.enter(part.removeprefix(MARK))
            elif match := PERCENT.search(part):
                overview.advance(int(match[1]) / 100)
            else:
                last = part.strip()
                with suppress(OSError):  # a full disk, of which the row speaks itself
                    log.write(f"{part}\n".encode())
    return last


def end_with_parent() -> None:
    """In a row's process: a benchmark that is killed leaves no row behind, which would write where
    the next start does. Linux alone can."""
    parent = os.environ.pop(PARENT, None)  # not for the processes that this one starts
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)
