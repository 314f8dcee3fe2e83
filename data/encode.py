"""Encode a stream of documents in parallel, in order, with little of it in memory."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import connection

from data.tokenizers import Ids, Tokenizer

_BATCH_CHARACTERS = 1 << 21
_BATCH_DOCUMENTS = 1 << 14


@dataclass
class Encoded:
    """A batch of documents: their ids, and how many bytes of UTF-8 they were."""

    ids: list[Ids]
    text_bytes: int


def encode_documents(
    documents: Iterable[str], tokenizer: Tokenizer, num_proc: int
) -> Iterator[Encoded]:
    """Batches of encoded documents, in order.

    With one process the tokenizer library's own threads use all cores while this one reads and
    writes: on two cores the faster way. With more, each process encodes on one thread, for
    machines with so many cores that the library's threads hinder each other.
    """
    with _executor(tokenizer, num_proc) as executor:
        waiting: deque[Future[Encoded]] = deque()
        try:
            for batch in _batches(documents):
                waiting.append(executor.submit(_encode, batch))
                if len(waiting) > num_proc + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)


def _executor(tokenizer: Tokenizer, num_proc: int) -> Executor:
    if num_proc == 1:
        # Two threads: one converts ids to arrays while the other is inside the library.
        return ThreadPoolExecutor(2, initializer=_adopt, initargs=(tokenizer,))
    return ProcessPoolExecutor(
        num_proc,
        # A fork would copy the locks of the library's threads in whatever state they are.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_adopt_alone,
        initargs=(tokenizer,),
    )


_local = threading.local()


def _adopt(tokenizer: Tokenizer) -> None:
    _local.tokenizer = tokenizer


def _adopt_alone(tokenizer: Tokenizer) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _adopt(tokenizer)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _encode(texts: Sequence[str]) -> Encoded:
    clean = [_without_surrogates(text) for text in texts]
    text_bytes = sum(len(text.encode("utf-8")) for text in clean)
    return Encoded(_local.tokenizer.encode_batch(clean), text_bytes)


def _without_surrogates(text: str) -> str:
    """JSON may hold half a surrogate pair, which no UTF-8 can and no tokenizer takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="replace").decode("utf-8")
    return text


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in documents:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
