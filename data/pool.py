"""Threads or processes that encode, and that end at once when they are no longer wanted."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from multiprocessing.pool import ThreadPool
from pathlib import Path
from traceback import walk_tb
from typing import Any

from data.stopping import held_back
from data.tokenizers import Tokenizer

Work = Callable[[Tokenizer, Sequence[Any]], Any]
Result = Callable[[], Any]  # waits for what a worker makes of a batch
Submit = Callable[[Sequence[Any]], Result]

_ROOM = Path(__file__).resolve().parent


@contextmanager
def workers(work: Work, tokenizer: Tokenizer, num_proc: int) -> Iterator[Submit]:
    """A function to submit batches for `work(tokenizer, batch)`, whose results `answer` gives."""
    if num_proc > 1:
        with _processes(work, tokenizer, num_proc) as submit:
            yield submit
        return
    # Two threads: one converts ids to arrays while the other is inside the library. They are
    # daemons: the program can end while one encodes a long text.
    with ThreadPool(2) as threads:
        yield lambda batch: threads.apply_async(_attempt, (work, tokenizer, batch)).get


def answer(result_of: Result) -> Any:
    """The result of a worker; raises here what it refused, which it hands over as a value: raised
    again on this side, it is this program's own line."""
    try:
        result = result_of()
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
    except Exception as error:
        if isinstance(error, ValueError | OSError) and _is_refusal(error):
            return error
        raise  # a fault of the program keeps its traceback
    except BaseException as error:
        # A panic of the library, after which a pool of threads would wait without end.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


def _is_refusal(error: Exception) -> bool:
    """Whether this room itself raised it, to say something to the user."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return Path(frame.f_code.co_filename).resolve().parent == _ROOM


@contextmanager
def _processes(work: Work, tokenizer: Tokenizer, count: int) -> Iterator[Submit]:
    # A fork would copy the locks of the library's threads in whatever state they are.
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        count, mp_context=context, initializer=_adopt, initargs=(work, tokenizer, theirs)
    )
    resource_tracker.ensure_running()  # it would let the signals through again

    def submit(batch: Sequence[Any]) -> Result:
        # It begins the processes: a signal to the whole group is for this one, which ends them.
        with held_back(signal.SIGINT, signal.SIGTERM):
            return executor.submit(_serve, batch).result

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
