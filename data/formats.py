"""Documents in txt, jsonl and parquet files, also compressed; long texts come in parts."""

import codecs
import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
# A text file is read in parts of so many bytes; a file of one part is a plain string.
_PART_BYTES = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LongText:
    """A text in parts, which are read from the file each time it is gone through."""

    def __init__(self, read: Callable[[], Iterator[str]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[str]:
        return self._read()


Document = str | LongText


def parts_of(document: Document) -> Iterable[str]:
    """The strings that a document consists of, one after another."""
    return (document,) if isinstance(document, str) else document


def whole(document: Document) -> str:
    """The document as one string."""
    return "".join(parts_of(document))


def length_of(document: Document) -> int:
    """The characters of a document."""
    return sum(len(part) for part in parts_of(document))


def cut_out(document: Document, start: int, stop: int) -> Document:
    """The characters from `start` to before `stop`."""
    if isinstance(document, str):
        return document[start:stop]
    return LongText(partial(_cut_parts, document, start, stop))


def _cut_parts(document: LongText, start: int, stop: int) -> Iterator[str]:
    begin = 0
    for part in document:
        if begin >= stop:
            return
        if piece := part[max(start - begin, 0) : stop - begin]:
            yield piece
        begin += len(part)


def read_text(file: Path, key: str) -> Document:
    """A txt file as one document, without a byte order mark. A byte that is not UTF-8 comes as a
    lone surrogate (PEP 383), for the encoder to count."""
    with closing(_decoded(file, key)) as parts:
        first = next(parts, "")
        is_long = next(parts, None) is not None
    return LongText(partial(_decoded, file, key)) if is_long else first


def read_rows(file: Path, text_key: str, key: str) -> Iterator[str]:
    """The text of each row of a jsonl file; an empty one for null."""
    with _explained(file, key), _open(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _text_of(line, text_key, f"{key}: {file} line {number}")


def read_parquet(file: Path, text_key: str, key: str) -> Iterator[str]:
    """The text of each row of a parquet file; an empty one for null."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    with (
        _explained(file, key, ArrowException, UnicodeDecodeError),
        ParquetFile(file) as table,
    ):
        _check_column(table.schema_arrow, text_key, f"{key}: {file}")
        # Few rows at a time, since a row may be a book.
        for batch in table.iter_batches(batch_size=128, columns=[text_key]):
            for text in batch.column(0).to_pylist():
                yield text or ""


def _decoded(file: Path, key: str) -> Generator[str, None, None]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
    with _explained(file, key), _open(file) as stream:
        part = stream.read(_PART_BYTES)
        if part.startswith(_UTF16):
            raise ValueError(
                f"{key}: {file} is UTF-16 (it begins with its byte order mark); save it as UTF-8, "
                f"such as by iconv -f UTF-16 -t UTF-8"
            )
        while part:
            ahead = stream.read(_PART_BYTES)
            if text := decoder.decode(part, final=not ahead):
                yield text
            part = ahead


def _open(file: Path) -> IO[bytes]:
    suffix = file.suffix.lower()
    return COMPRESSED[suffix](file, "rb") if suffix in COMPRESSED else file.open("rb")


@contextmanager
def _explained(file: Path, key: str, *more: type[Exception]) -> Iterator[None]:
    """Errors of the reading libraries over a file become one line that names it."""
    damaged: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError, *more)
    try:
        yield
    except damaged as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise OSError(f"{key}: {file} cannot be read ({reason.splitlines()[0]})") from error


def _text_of(line: bytes, text_key: str, where: str) -> str:
    try:
        row = json.loads(line)
    except RecursionError:
        raise ValueError(f"{where}: nested too deeply for a row of text") from None
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(
            f"{where}: a {type(row).__name__}, not an object with the key data.text_key={text_key}"
        )
    if text_key not in row:
        there = sorted(row)[:20]
        raise ValueError(f"{where} has no key data.text_key={text_key!r}; there: {there}")
    text = row[text_key]
    if text is not None and not isinstance(text, str):
        kind = type(text).__name__
        raise ValueError(f"{where} has a {kind} at data.text_key={text_key!r}, not a text")
    return text or ""


def _check_column(schema: Any, text_key: str, where: str) -> None:
    """ValueError unless the parquet file has a column of this name that holds text."""
    texts = [field.name for field in schema if holds_text(field.type)]
    if text_key in texts:
        return
    if text_key not in schema.names:
        there = schema.names[:20]
        raise ValueError(f"{where} has no column data.text_key={text_key!r}; there: {there}")
    kind = schema.field(text_key).type
    raise ValueError(
        f"{where} has {kind} in the column data.text_key={text_key!r}, not text; columns of text: "
        f"{texts}"
    )


def holds_text(kind: Any) -> bool:
    """Whether an arrow type is text, or nothing but null."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(test(kind) for test in tests)
