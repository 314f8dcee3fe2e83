"""The rows of a benchmark on this machine, one after another, each in a process of its own: its
memory is measured alone, and its failure ends no other."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from modes.benchmark.progress import Overview
from modes.benchmark.runs import MARK, Row
from modes.benchmark.slurm import command
from training.signals import STOPPING, Stopped, StopSignals

LOG = "benchmark.log"  # in the run directory: the output of a row
PARENT = "BENCHMARK_PARENT"  # the process that a row must not outlive
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
GOES_ON = "are kept; the same command goes on from there"
PERCENT = re.compile(r"(\d+)%\|")  # in a progress bar


class Failure(NamedTuple):
    """A row that did not come to its end."""

    row: Row
    stage: str
    reason: str
    log: Path

    def __str__(self) -> str:
        return f"failed: {self.row.name}, {self.stage}: {self.reason} ({self.log})"


def run_all(
    rows: Sequence[tuple[Row, list[str]]],
    overrides: Sequence[str],
    overview: Overview,
    signals: StopSignals,
) -> list[Failure]:
    """The rows that failed, of `rows` with their unfinished stages, after all have been run."""
    failures = []
    for done, (row, stages) in enumerate(rows):
        overview.begin(row.name, stages)
        started = time.monotonic()
        signals.kept = f"{done} of {len(rows)} rows and what {row.name} has done {GOES_ON}"
        failure = _run(row, [*command(overrides), f"benchmark.row={row.number}"], overview)
        if failure is not None:
            failures.append(failure)
        seconds = time.monotonic() - started
        overview.end(f"{row.name}: done, {seconds:.0f} s" if failure is None else str(failure))
    return failures


def _run(row: Row, line: list[str], overview: Overview) -> Failure | None:
    log = Path(row.folder) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {PARENT: str(os.getpid())}
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
        _forwarded(child),
    ):
        assert child.stderr is not None
        reason = _follow(child.stderr, stream, overview)
    if child.returncode == 0:
        return None
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        reason = f"ended by {name}" + (", for want of memory?" if name == "SIGKILL" else "")
    return Failure(row, overview.stage, reason or f"exit status {child.returncode}", log)


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
                log.write(f"{part}\n".encode())
    return last


@contextmanager
def _forwarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """A signal reaches the row, which keeps what it has; then the benchmark ends."""
    received: list[int] = []

    def forward(number: int, frame: Any) -> None:
        received.append(number)
        child.send_signal(number)

    handlers = {number: signal.signal(number, forward) for number in STOPPING}
    try:
        yield
        child.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        raise Stopped(received[0])


def end_with_parent() -> None:
    """In a row's process: a benchmark that is killed leaves no row behind, which would write where
    the next start does. Linux alone can."""
    parent = os.environ.pop(PARENT, None)  # not for the processes that this one starts
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it was killed before
        os.kill(os.getpid(), signal.SIGKILL)
