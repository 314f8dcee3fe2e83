"""Tokens on disk: one flat memory-mapped file per corpus split and tokenizer."""

import hashlib
import json
import stat
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.checksums import damage

FORMAT = 2  # 1 had no checksums
TOKENS, OFFSETS, META = "tokens.bin", "offsets.bin", "meta.json"


class Damaged(ValueError):
    """A store whose files are not what was built; the message says what is wrong."""


def token_dtype(vocab_size: int) -> str:
    """The narrowest type that holds 0..N, the mask included."""
    return "uint16" if vocab_size + 1 <= 1 << 16 else "uint32"


def store_fields(
    corpus_digest: str, split: str, tokenizer_digest: str, insert_eos: bool, dtype: str
) -> dict[str, Any]:
    """Everything the files depend on, so everything the cache key covers. Block length, packing and
    framing are not in it: blocks are cut from the flat stream when they are read, so one store
    serves every length, packing and framing."""
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
    """A finished store. `tokens` (T,) and `offsets` (documents + 1,) are read-only maps."""

    def __init__(self, folder: Path, meta: Mapping[str, Any]) -> None:
        self.folder = folder
        self.meta = dict(meta)

    @cached_property
    def tokens(self) -> NDArray[np.unsignedinteger]:
        dtype = self.meta["fields"]["dtype"]
        # A plain array view: indexing np.memmap itself is slower.
        return np.asarray(np.memmap(self.folder / TOKENS, dtype=dtype, mode="r"))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        return np.asarray(np.memmap(self.folder / OFFSETS, dtype=np.int64, mode="r"))

    @property
    def sha256(self) -> str:
        """Of the tokens, as they were built and verified."""
        return str(self.meta["files"][TOKENS]["sha256"])


def meta_text(record: Mapping[str, Any]) -> str:
    """The content of meta.json: a record of a store with a checksum of its own."""
    return json.dumps({**record, "sha256": _digest(record)}, indent=1)


def open_store(
    folder: Path, fields: Mapping[str, Any], verify: str = "sample"
) -> TokenStore | None:
    """The store, None where there is none. Its files are held against their checksums: large ones
    by a sample of pages, all of them whole where `verify` is "full"; Damaged where one differs."""
    if not folder.is_dir():
        if folder.is_symlink() or folder.exists():
            raise Damaged("it is not a folder")
        return None
    try:
        meta = _read_meta(folder / META)
        if meta["fields"] != fields:
            raise Damaged(f"{META} is that of other tokens")
        for name in (TOKENS, OFFSETS):
            if (wrong := damage(folder / name, meta["files"][name], verify == "full")) is not None:
                raise Damaged(wrong)
    except FileNotFoundError as error:
        raise Damaged(f"{Path(error.filename).name} is missing") from error
    return TokenStore(folder, meta)


def _read_meta(file: Path) -> dict[str, Any]:
    if not stat.S_ISREG(file.stat().st_mode):
        raise Damaged(f"{META} is not the record of a store")
    try:
        meta = json.loads(file.read_bytes())
        record = {key: value for key, value in dict(meta).items() if key != "sha256"}
        unchanged = meta["sha256"] == _digest(record)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged(f"{META} is not the record of a store") from error
    if not unchanged:
        raise Damaged(f"{META} was changed")
    return record


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
