"""Encode a stream of documents in parallel, in order, with little of it in memory."""

import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from data.formats import Document, parts_of
from data.pool import Result, answer, workers
from data.report import Losses
from data.tokenizers import Ids, Tokenizer

_BATCH_CHARACTERS = 1 << 21
_BATCH_DOCUMENTS = 1 << 14
# Where a tokenizer allows it, a long document is cut into pieces of so many: same ids, all threads
# busy, and memory that does not grow with the document.
_PIECE_CHARACTERS = 1 << 17
_SURROGATE = re.compile("[\ud800-\udfff]")


class Piece(NamedTuple):
    """A text that can be encoded apart: a document, or a part of one; the last part says so."""

    text: str
    is_last: bool


@dataclass
class Encoded:
    """A batch of pieces: their ids, which of them end a document, how many bytes of UTF-8 they
    were, and what of them the ids do not say."""

    ids: list[Ids]
    ends: list[bool]
    text_bytes: int
    losses: Losses


def encode_documents(
    documents: Iterable[Document], tokenizer: Tokenizer, num_proc: int
) -> Generator[Encoded, None, None]:
    """Batches of encoded documents, in order.

    With one process the tokenizer library's own threads use all cores while this one reads and
    writes: on two cores the faster way. With more, each process encodes on one thread, for
    machines with so many cores that the library's threads hinder each other."""
    with workers(encode, tokenizer, num_proc) as submit:
        waiting: deque[Result] = deque()
        for batch in _batches(pieces(documents, tokenizer)):
            waiting.append(submit(batch))
            if len(waiting) > num_proc + 1:
                yield answer(waiting.popleft())
        while waiting:
            yield answer(waiting.popleft())


def encode(tokenizer: Tokenizer, batch: Sequence[Piece]) -> Encoded:
    """The ids of a batch, and counts."""
    losses = Losses()
    texts = [_valid(piece.text, losses) for piece in batch]
    ids = tokenizer.encode_batch(texts)
    for text in texts:
        losses.null_characters += text.count("\0")
        for character, count in tokenizer.lost(text).items():
            losses.lost_characters += count
            losses.lost_bytes += count * len(character.encode())
    if tokenizer.unknown is not None:
        losses.unknown_tokens = sum(int((row == tokenizer.unknown).sum()) for row in ids)
    text_bytes = sum(len(text.encode()) for text in texts)
    return Encoded(ids, [piece.is_last for piece in batch], text_bytes, losses)


def pieces(documents: Iterable[Document], tokenizer: Tokenizer) -> Iterator[Piece]:
    """Every document whole, or cut where its parts have the ids that they have together."""
    for document in documents:
        yield from _pieces_of(document, tokenizer)


def _pieces_of(document: Document, tokenizer: Tokenizer) -> Iterator[Piece]:
    text, begin, looked = "", 0, 0  # no place to cut is before `looked`
    for part in parts_of(document):
        if begin:
            text, looked, begin = text[begin:], looked - begin, 0
        text += part
        while True:
            cut = tokenizer.cut(text, max(begin + _PIECE_CHARACTERS, looked))
            if cut is None:
                break
            yield Piece(text[begin:cut], is_last=False)
            begin = cut
        looked = len(text) - 1
    yield Piece(text[begin:], is_last=True)


def _valid(text: str, losses: Losses) -> str:
    """Text that UTF-8 can say: a lone surrogate, of an invalid byte or of JSON, is U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text, count = _SURROGATE.subn("\ufffd", text)
        losses.invalid_bytes += count
    return text


def _batches(stream: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in stream:
        batch.append(piece)
        size += len(piece.text)
        if size >= _BATCH_CHARACTERS or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
