"""Loader processes that cut batches ahead of time.

Each sends its batches through a pipe of its own: nothing needs shared memory, the death of one is
seen at once, and each ends with the process that reads, however that ended. Signals to the whole
process group (Ctrl-C, a scheduler's SIGTERM) are left to the process that reads, which needs
batches until it has saved."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NamedTuple

from data.packing import Arrays, DamagedTokens, View
from data.stopping import held_back

ROOT = Path(__file__).resolve().parents[1]
HELD_BACK = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
# Not multiprocessing: its children import the main program again, and its queues take semaphores,
# which lie in shared memory.
_CHILD = "import sys; sys.path.insert(0, sys.argv[2]); import data.workers as w; w.serve()"


class Worker(NamedTuple):
    """One loader process and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection


class Workers:
    """Loader processes for one view."""

    def __init__(self, view: View, count: int) -> None:
        self._workers: list[Worker] = []
        # Also at the end of the program; `close` again does nothing.
        self.close = weakref.finalize(self, _end, self._workers)
        with held_back(*HELD_BACK):
            for _ in range(count):
                self._workers.append(_start())
        for worker in self._workers:
            self._send(worker, view)

    def batches(self, sampler: Iterable[list[int]], count: int | None) -> Iterator[Arrays]:
        """The view's batches in the sampler's order, `count` of them, None for no end: worker w of
        n cuts numbers w, w + n, ... The processes are free again with the last one."""
        for turn, worker in enumerate(self._workers):
            self._send(worker, (sampler, turn, len(self._workers)))
        for number in itertools.count() if count is None else range(count):
            batch = self._receive(self._workers[number % len(self._workers)])
            if number + 1 == count:
                for worker in self._workers:
                    self._receive(worker)  # None: it came to the end
            yield batch

    def _send(self, worker: Worker, message: object) -> None:
        try:
            worker.pipe.send_bytes(pickle.dumps(message))
        except OSError as error:
            raise self._lost(worker) from error

    def _receive(self, worker: Worker) -> Arrays:
        try:
            message = pickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._lost(worker) from error
        if isinstance(message, DamagedTokens):
            raise DamagedTokens(str(message))
        return message

    def _lost(self, worker: Worker) -> ChildProcessError:
        """Why a process is gone, once its pipe is closed."""
        worker.pipe.close()  # if it lives on, it ends now
        status = worker.process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return ChildProcessError(
            f"loader.num_workers={len(self._workers)}: a loader process ended ({how}); was there "
            "too little memory? loader.num_workers=0 needs no such process"
        )


def serve() -> None:
    """The work of a loader process: for every sampler that comes its share of the batches, then
    None."""
    # Its reader is gone: nobody wants anything any more.
    with Connection(int(sys.argv[1])) as pipe, suppress(EOFError, ConnectionError):
        view: View = pickle.loads(pipe.recv_bytes())
        while True:
            sampler, turn, count = pickle.loads(pipe.recv_bytes())
            for numbers in itertools.islice(sampler, turn, None, count):
                pipe.send_bytes(pickle.dumps(_batch(view, numbers)))
            pipe.send_bytes(pickle.dumps(None))


def _batch(view: View, numbers: list[int]) -> Arrays | DamagedTokens:
    try:
        return view.batch(numbers)
    except DamagedTokens as error:
        return error


def _start() -> Worker:
    ours, its = Pipe()
    with its:
        arguments = [sys.executable, "-P", "-c", _CHILD, str(its.fileno()), str(ROOT)]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return Worker(process, ours)


def _end(workers: list[Worker]) -> None:
    """They hold nothing that is worth waiting for."""
    for process, pipe in workers:
        pipe.close()
        process.kill()
    for process, _ in workers:
        process.wait()
    workers.clear()
