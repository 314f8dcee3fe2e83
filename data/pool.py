"""Threads or processes that encode, and that end at once when they are no longer wanted."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from pathlib import Path
from traceback import walk_tb
from typing import Any

from data.stopping import held_back
from data.tokenizers import Tokenizer

Work = Callable[[Tokenizer, Sequence[Any]], Any]
Submit = Callable[[Sequence[Any]], Future[Any]]

_ROOM = Path(__file__).resolve().parent


def workers(work: Work, tokenizer: Tokenizer, num_proc: int) -> Any:
    """A context manager that gives a function to submit batches for `work(tokenizer, batch)`."""
    if num_proc == 1:
        # Two threads: one converts ids to arrays while the other is inside the library.
        return _threads(work, tokenizer, 2)
    return _processes(work, tokenizer, num_proc)


def answer(future: Future[Any]) -> Any:
    """The result of a worker; raises here what it refused, which it hands over as a value: raised
    again on this side, it is this program's own line."""
    try:
        result = future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "data.num_proc: a process that tokenizes was ended from outside; for want of memory, "
            "fewer of them need less"
        ) from error
    if isinstance(result, (ValueError, OSError)):
        raise result
    return result


def _attempt(work: Work, tokenizer: Tokenizer, batch: Sequence[Any]) -> Any:
    try:
        return work(tokenizer, batch)
    except (ValueError, OSError) as error:
        if not _is_refusal(error):
            raise  # a fault of the program keeps its traceback
        return error


def _is_refusal(error: Exception) -> bool:
    """Whether this room itself raised it, to say something to the user."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return Path(frame.f_code.co_filename).resolve().parent == _ROOM


@contextmanager
def _threads(work: Work, tokenizer: Tokenizer, count: int) -> Iterator[Submit]:
    """Daemons, unlike the library's pool: the program can end while one encodes a long text."""
    jobs: queue.SimpleQueue[tuple[Future[Any], Sequence[Any]] | None] = queue.SimpleQueue()

    def serve() -> None:
        while job := jobs.get():
            future, batch = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(_attempt(work, tokenizer, batch))
            except BaseException as error:
                future.set_exception(error)

    def submit(batch: Sequence[Any]) -> Future[Any]:
        future: Future[Any] = Future()
        jobs.put((future, batch))
        return future

    for _ in range(count):
        threading.Thread(target=serve, daemon=True).start()
    try:
        yield submit
    finally:
        with suppress(queue.Empty):
            while True:  # what nobody has begun
                jobs.get_nowait()
        for _ in range(count):
            jobs.put(None)


@contextmanager
def _processes(work: Work, tokenizer: Tokenizer, count: int) -> Iterator[Submit]:
    # A fork would copy the locks of the library's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        count, mp_context=context, initializer=_adopt, initargs=(work, tokenizer, theirs)
    )
    resource_tracker.ensure_running()  # it would let the signals through again

    def submit(batch: Sequence[Any]) -> Future[Any]:
        # It begins the processes: a signal to the whole group is for this one, which ends them.
        with held_back(signal.SIGINT, signal.SIGTERM):
            return executor.submit(_serve, batch)

    try:
        yield submit
    except BaseException:
        ours.close()  # ends the processes, whatever they are at
        # One that ends in the middle of a result leaves half of it: whoever reads that waits for
        # the rest as long as this side could still write it.
        writing: Any = executor._result_queue
        writing._writer.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


_adopted: list[Any] = []


def _adopt(work: Work, tokenizer: Tokenizer, stop: connection.Connection) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()
    _adopted[:] = [work, tokenizer]


def _serve(batch: Sequence[Any]) -> Any:
    work, tokenizer = _adopted
    return _attempt(work, tokenizer, batch)


def _end_with_parent(stop: connection.Connection) -> None:
    """Without it, a worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel, stop])
    os._exit(1)
