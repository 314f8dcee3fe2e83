"""Tokens on disk: one flat memory-mapped file per corpus split and tokenizer."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
TOKENS, OFFSETS, META = "tokens.bin", "offsets.bin", "meta.json"


def token_dtype(vocab_size: int) -> str:
    """The narrowest type that holds 0..N, the mask included."""
    return "uint16" if vocab_size + 1 <= 1 << 16 else "uint32"


def store_fields(
    corpus_digest: str, split: str, tokenizer_digest: str, insert_eos: bool, dtype: str
) -> dict[str, Any]:
    """Everything the files depend on, so everything the cache key covers.

    Block length, packing and framing are not in it: blocks are cut from the flat stream when
    they are read, so one store serves every length, packing and framing.
    """
    return {
        "format": FORMAT,
        "corpus": corpus_digest,
        "split": split,
        "tokenizer": tokenizer_digest,
        "insert_eos": insert_eos,
        "dtype": dtype,
    }


def store_name(fields: Mapping[str, Any]) -> str:
    """A folder name that differs whenever a field does."""
    text = json.dumps(fields, sort_keys=True)
    return f"{fields['split']}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class TokenStore:
    """A finished store. `tokens` (T,) and `offsets` (documents + 1,) are read-only maps.

    Pickles as its path, so that loader processes open the files themselves.
    """

    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self.folder = folder
        self.meta = dict(meta)

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenStore, (self.folder, self.meta)

    @cached_property
    def tokens(self) -> NDArray[np.unsignedinteger]:
        dtype = self.meta["fields"]["dtype"]
        # A plain array view: indexing np.memmap itself is slower.
        return np.asarray(np.memmap(self.folder / TOKENS, dtype=dtype, mode="r"))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        return np.asarray(np.memmap(self.folder / OFFSETS, dtype=np.int64, mode="r"))


def open_store(folder: Path, fields: Mapping[str, Any]) -> TokenStore | None:
    """The store if it is whole, None if it is absent or damaged."""
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in (TOKENS, OFFSETS)}
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(meta, dict) or meta.get("fields") != fields:
        return None
    expected = {
        TOKENS: meta.get("tokens", -1) * np.dtype(fields["dtype"]).itemsize,
        OFFSETS: (meta.get("documents", -1) + 1) * 8,
    }
    return TokenStore(folder, meta) if sizes == expected else None
