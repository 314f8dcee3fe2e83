"""Signals that ask a program to stop: the work ends where it can go on later, with one line about
what was kept and the exit status 128 + the signal."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

# The signals of people and job systems: Ctrl-C, the end of a job, a while before its time limit.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
NOTHING = "nothing was kept; the same command begins again"
# A wrapper such as timeout may send the same signal to the process and to its group.
SAME_SECONDS = 0.3


class Stopped(SystemExit):
    """The end of a program that was asked to stop."""

    def __init__(self, number: int):
        super().__init__(128 + number)
        self.number = number
        self.reported = False


class StopSignals:
    """While the block runs, a signal of `STOPPING` raises Stopped; within `deferred` the work says
    where, by `look`. A second signal ends the process at once.

    At the end of the block a line on stderr says `kept`, and the earlier handlers are back."""

    def __init__(self, kept: str = NOTHING):
        self.kept = kept
        self.number: int | None = None  # the signal that was received
        self._at = 0.0
        self._deferred = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may have handlers
            self._handlers = {n: signal.signal(n, self._receive) for n in STOPPING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if isinstance(error, Stopped):
            self._report(error)
        elif self.number is not None and isinstance(error, SystemExit | KeyboardInterrupt):
            stopped = Stopped(self.number)  # a library saw the signal first
            self._report(stopped)
            raise stopped from error

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Where an end at any moment would lose what a step later can be kept, or leave other
        processes waiting: inside, only `look` raises Stopped."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before
        self.look()

    @property
    def asked(self) -> bool:
        """Whether this process was asked to stop."""
        return self.number is not None

    def look(self, agree: Callable[[bool], bool] = bool) -> None:
        """Raises Stopped where the program was asked to stop; `agree` makes one answer of those of
        all processes, each of which has to look as often."""
        if agree(self.asked):
            raise Stopped(self.number or signal.SIGTERM)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if time.monotonic() - self._at >= SAME_SECONDS:
                os._exit(128 + number)
            return
        self.number, self._at = number, time.monotonic()
        if not self._deferred:
            raise Stopped(number)

    def _report(self, stopped: Stopped) -> None:
        if stopped.reported:
            return
        stopped.reported = True
        if is_first_process():
            name = signal.Signals(stopped.number).name
            print(f"stopped by {name}: {self.kept}", file=sys.stderr, flush=True)


def is_first_process() -> bool:
    """Whether this is the process of several that speaks, as their launchers say."""
    ranks = [
        os.environ.get(name, "0") for name in ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")
    ]
    return not any(rank.isdigit() and int(rank) for rank in ranks)


def keep_handlers(trainer: Any) -> None:
    """Lightning's own handlers would end an evaluation with status 0, never a prediction, and queue
    a Slurm job again beside its script: `trainer` installs none."""
    connector = trainer._signal_connector  # there is no public way
    connector.register_signal_handlers = lambda: None
