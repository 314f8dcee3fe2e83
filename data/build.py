"""Build a token store: read, encode on all cores, write beside, move into place."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from data.checksums import Summed
from data.corpora import Corpus
from data.encode import Encoded, encode_documents
from data.store import (
    META,
    OFFSETS,
    TOKENS,
    Damaged,
    TokenStore,
    meta_text,
    open_store,
    store_fields,
    store_name,
    token_dtype,
)
from data.tokenizers import Tokenizer

log = logging.getLogger(__name__)


@dataclass
class Counts:
    """What a store holds; `text_tokens` leaves out the inserted EOS, `text_bytes` is UTF-8."""

    documents: int = 0
    tokens: int = 0
    text_tokens: int = 0
    text_bytes: int = 0


def build_or_open(
    cache_dir: Path,
    corpus: Corpus,
    split: str,
    tokenizer: Tokenizer,
    insert_eos: bool,
    num_proc: int,
    verify: str = "sample",
) -> TokenStore:
    """The split's store, built if it is not there; other processes of the node wait for it.

    OSError in one line where the folder cannot be written, ValueError for a split without text.
    """
    dtype = token_dtype(tokenizer.vocab_size)
    fields = store_fields(corpus.digest(split), split, tokenizer.digest, insert_eos, dtype)
    folder = cache_dir / store_name(fields)
    store, _ = _opened(folder, fields, verify)
    if store is not None:
        return store
    with _explained(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            # Another process may have built it while this one waited.
            store, damaged = _opened(folder, fields, verify)
            if store is not None:
                return store
            with _in_place_of(folder, damaged), _workplace(folder) as partial:
                encoded = encode_documents(corpus.documents(split), tokenizer, num_proc)
                eos = tokenizer.eos if insert_eos else None
                bar = _progress(corpus, split)
                counts, files = _write(partial, encoded, np.dtype(dtype), eos, bar)
                if counts.text_tokens == 0:
                    raise ValueError(f"the {split} split of the corpus is empty: it has no text")
                record = {"fields": fields, **asdict(counts), "files": files}
                (partial / META).write_text(meta_text(record), encoding="utf-8")
                _publish(partial, folder)
    return TokenStore(folder, record)


def _opened(
    folder: Path, fields: Mapping[str, Any], verify: str
) -> tuple[TokenStore | None, Damaged | None]:
    """The store, or why it has to be built again; neither where there is none."""
    try:
        return open_store(folder, fields, verify), None
    except Damaged as damaged:
        return None, damaged


@contextmanager
def _in_place_of(folder: Path, damaged: Damaged | None) -> Iterator[None]:
    """Says that a store is built again, and where that fails, what was wrong with the old one."""
    if damaged is None:
        yield
        return
    log.warning("rebuilding %s: %s", folder, damaged)
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(
            f"data.cache_dir: {folder} is damaged ({damaged}) and cannot be built again: {error}"
        ) from error


def _write(
    folder: Path, encoded: Iterator[Encoded], dtype: np.dtype, eos: int | None, bar: tqdm
) -> tuple[Counts, dict[str, Any]]:
    """What was written, and the checksums of both files."""
    counts = Counts()
    with (
        (folder / TOKENS).open("wb") as token_file,
        (folder / OFFSETS).open("wb") as offset_file,
        bar,
    ):
        tokens, offsets = Summed(token_file), Summed(offset_file)
        offsets.write(np.zeros(1, dtype=np.int64).tobytes())
        for batch in encoded:
            _append(batch, counts, tokens, offsets, dtype, eos)
            bar.update(batch.text_bytes)
            bar.set_postfix_str(f"{counts.tokens / 1e6:.1f}M tokens", refresh=False)
    return counts, {TOKENS: tokens.sums(), OFFSETS: offsets.sums()}


def _progress(corpus: Corpus, split: str) -> tqdm:
    """A bar with throughput and, where the size is known, an estimate; quick builds show none."""
    total = corpus.size_hint(split)
    return tqdm(total=total, desc=f"tokenizing {split}", unit="B", unit_scale=True, delay=3)


def _append(
    batch: Encoded,
    counts: Counts,
    tokens: Summed,
    offsets: Summed,
    dtype: np.dtype,
    eos: int | None,
) -> None:
    # A document without a token leaves no trace: not even an EOS of its own.
    documents = [ids for ids in batch.ids if len(ids)]
    counts.text_bytes += batch.text_bytes
    if not documents:
        return
    lengths = np.array([len(ids) for ids in documents], dtype=np.int64)
    counts.text_tokens += int(lengths.sum())
    if eos is not None:
        end = np.array([eos], dtype=dtype)
        documents = [part for ids in documents for part in (ids, end)]
        lengths += 1
    tokens.write(np.concatenate(documents).astype(dtype).tobytes())
    offsets.write((counts.tokens + np.cumsum(lengths)).tobytes())
    counts.documents += len(lengths)
    counts.tokens += int(lengths.sum())


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A folder beside the final one, gone afterwards; the holder of the lock owns its name."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, folder: Path) -> None:
    """Puts finished files into place: whole on disk first, then one rename."""
    for name in (TOKENS, OFFSETS, META):
        with (partial / name).open("rb") as stream:
            os.fsync(stream.fileno())
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    partial.rename(folder)
    parent = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


@contextmanager
def _explained(cache_dir: Path) -> Iterator[None]:
    """Names the key when the cache folder is the reason: no space, no permission, a file."""
    try:
        yield
    except OSError as error:
        place = Path(error.filename).resolve() if isinstance(error.filename, str) else None
        here = cache_dir.resolve()
        ours = place is not None and (here in (place, *place.parents) or place in here.parents)
        if not ours and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise OSError(
            f"data.cache_dir={str(cache_dir)!r}: {error.strerror}; no unfinished files remain"
        ) from error
