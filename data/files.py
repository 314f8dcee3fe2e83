"""Documents in files: txt, jsonl and parquet, read one at a time."""

import gzip
import hashlib
import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
SUFFIXES = ".txt, .jsonl, .parquet, and .txt or .jsonl with .gz or .xz"


def find_files(path: str, key: str) -> list[Path]:
    """The file itself, or all readable files below a folder in the order of their names.

    OSError where nothing is there, ValueError where nothing can be read; both name the key.
    """
    root = Path(path).expanduser()
    if root.is_file():
        _kind(root, key)
        return [root]
    if not root.is_dir():
        raise FileNotFoundError(f"{key}={path!r}: no such file or folder")
    files = sorted(file for file in root.rglob("*") if file.is_file() and _is_readable(file))
    if not files:
        raise ValueError(f"{key}={path!r}: no file here ends in {SUFFIXES}")
    return files


def read_documents(file: Path, text_key: str) -> Iterator[str]:
    """A txt file is one document; of a jsonl or parquet file each row's `text_key` is one."""
    kind = _kind(file, "data.path")
    if kind == ".parquet":
        yield from _read_parquet(file, text_key)
        return
    with _open(file) as stream:
        if kind == ".txt":
            yield stream.read().decode("utf-8", errors="replace")
            return
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _text_of(line, text_key, f"{file} line {number}")


def digest_of(files: Sequence[Path]) -> str:
    """SHA-256 over the files' kinds and contents: the same wherever the corpus lies."""
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{''.join(file.suffixes[-2:])} {content}\n".encode())
    return total.hexdigest()


def _kind(file: Path, key: str) -> str:
    suffix = Path(file.stem).suffix if file.suffix in OPENERS else file.suffix
    allowed = {".txt", ".jsonl"} if file.suffix in OPENERS else {".txt", ".jsonl", ".parquet"}
    if suffix not in allowed:
        raise ValueError(f"{key}={str(file)!r}: unknown suffix; allowed: {SUFFIXES}")
    return suffix


def _is_readable(file: Path) -> bool:
    inner = Path(file.stem).suffix if file.suffix in OPENERS else file.suffix
    return inner in {".txt", ".jsonl"} or file.suffix == ".parquet"


def _open(file: Path) -> IO[bytes]:
    return OPENERS[file.suffix](file, "rb") if file.suffix in OPENERS else file.open("rb")


def _text_of(line: bytes, text_key: str, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get(text_key), str):
        keys = sorted(row) if isinstance(row, dict) else "no keys at all"
        raise ValueError(f"data.text_key={text_key!r}: {where} has no such text; there: {keys}")
    return row[text_key]


def _read_parquet(file: Path, text_key: str) -> Iterator[str]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file)
    except ArrowInvalid as error:
        raise ValueError(f"data.path={str(file)!r}: not a parquet file ({error})") from error
    with table:
        columns = table.schema_arrow.names
        if text_key not in columns:
            raise ValueError(f"data.text_key={text_key!r}: {file} has the columns {columns}")
        for batch in table.iter_batches(batch_size=1024, columns=[text_key]):
            yield from (text or "" for text in batch.column(0).to_pylist())
