"""Build a token store: read, encode on all cores, write beside, move into place."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.checksums import checksums
from data.corpus import Corpus
from data.encode import Encoded, encode_documents
from data.places import alone
from data.report import Losses, built_line, opened_line
from data.stopping import stoppable
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
from storage import replacing_folder

log = logging.getLogger(__name__)


@dataclass
class Counts:
    """The contents of a store; `text_tokens` leaves out the inserted EOS, `text_bytes` is UTF-8."""

    documents: int = 0
    tokens: int = 0
    text_tokens: int = 0
    text_bytes: int = 0
    empty_documents: int = 0
    losses: Losses = field(default_factory=Losses)


def build_or_open(
    cache_dir: Path,
    corpus: Corpus,
    split: str,
    tokenizer: Tokenizer,
    insert_eos: bool,
    num_proc: int,
    verify: str = "sample",
    tell: Callable[[str], None] = log.info,
) -> TokenStore:
    """The split's store, built if it is not there; other processes wait for the one that builds.
    `tell` gets a line on what was read when it is built, and on what is missing when it was there.
    OSError in one line where the folder cannot be written, ValueError for a split without text."""
    dtype = token_dtype(tokenizer.vocab_size)
    fields = store_fields(corpus.digest(split), split, tokenizer.digest, insert_eos, dtype)
    source = corpus.found(split)
    left_out = [] if source is None else source.left_out()
    folder = cache_dir / store_name(fields)
    store, _ = _opened(folder, fields, verify)
    if store is not None:
        if line := opened_line(split, store.meta, left_out):
            tell(line)
        return store
    with stoppable(f"tokenizing {split}"), alone(folder):
        # Another process may have built it while this one waited.
        store, damaged = _opened(folder, fields, verify)
        if store is None:
            with _in_place_of(folder, damaged):
                store = _build(folder, fields, corpus, split, tokenizer, num_proc)
    files = None if source is None else len(source.files)
    tell(built_line(split, store.meta, files, left_out))
    return store


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


def _build(
    folder: Path,
    fields: Mapping[str, Any],
    corpus: Corpus,
    split: str,
    tokenizer: Tokenizer,
    num_proc: int,
) -> TokenStore:
    texts = corpus.documents(split)
    # Closed by hand: a signal may come while nothing of it runs, and its workers end with it.
    batches = closing(encode_documents(texts, tokenizer, num_proc))
    # Quick builds show no bar; it estimates the time where the size is known.
    total = corpus.size_hint(split)
    bar = tqdm(total=total, desc=f"tokenizing {split}", unit="B", unit_scale=True, delay=3)
    with replacing_folder(folder) as partial:
        eos = tokenizer.eos if fields["insert_eos"] else None
        with batches as encoded, bar:
            counts = _write(partial, encoded, np.dtype(fields["dtype"]), eos, bar)
        if counts.text_tokens == 0:
            raise ValueError(f"the {split} split of the corpus is empty: it has no text")
        files = {name: checksums(partial / name) for name in (TOKENS, OFFSETS)}
        record = {"fields": fields, **asdict(counts), "files": files}
        (partial / META).write_text(meta_text(record), encoding="utf-8")
    return TokenStore(folder, record)


def _write(
    folder: Path, encoded: Iterator[Encoded], dtype: np.dtype, eos: int | None, bar: tqdm
) -> Counts:
    """Tokens and offsets of the documents, in batches of their pieces."""
    counts = Counts()
    ending = np.array([] if eos is None else [eos], dtype=dtype)
    begun = 0  # tokens of a document whose end has not come yet
    with (folder / TOKENS).open("wb") as tokens, (folder / OFFSETS).open("wb") as offsets:
        offsets.write(np.zeros(1, dtype=np.int64).tobytes())
        for batch in encoded:
            parts, ends = [], []
            for ids, is_last in zip(batch.ids, batch.ends, strict=True):
                parts.append(ids)
                counts.text_tokens += len(ids)
                counts.tokens += len(ids)
                begun += len(ids)
                if not is_last:
                    continue
                # A document without a token leaves no trace: not even an EOS of its own.
                if begun:
                    parts.append(ending)
                    counts.tokens += len(ending)
                    ends.append(counts.tokens)
                counts.empty_documents += begun == 0
                begun = 0
            tokens.write(np.concatenate(parts).astype(dtype).tobytes())
            offsets.write(np.array(ends, dtype=np.int64).tobytes())
            counts.documents += len(ends)
            counts.text_bytes += batch.text_bytes
            counts.losses.add(batch.losses)
            bar.update(batch.text_bytes)
            bar.set_postfix_str(f"{counts.tokens / 1e6:.1f}M tokens", refresh=False)
    return counts
