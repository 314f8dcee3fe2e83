"""Work that a signal ends at once, cleanly and with a line, and processes that none reaches."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back(*signals: signal.Signals) -> Iterator[None]:
    """These signals of a group stay away from processes that are started now, from their first
    instruction on; one that comes meanwhile reaches this process afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Stopped(SystemExit):
    """The exit status of a program that a signal ended: 128 and the signal's number."""


@contextmanager
def stoppable(work: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM leave the block as `Stopped`, whoever minded them before; what is left
    after it is for the block's own `finally`. In another thread than the main one, nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    except Stopped as stopped:
        name = signal.Signals(int(str(stopped.code)) - 128).name
        print(f"{work}: stopped by {name}, nothing is kept of it", file=sys.stderr, flush=True)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:  # one is enough: the cleaning up is not to be stopped
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(128 + number)
