"""Text that is in the training and in the validation split."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.files import Found
from data.store import TokenStore
from storage import file_digest

# Short documents repeat by nature; a share up to here is said, a larger one is refused.
_ALLOWED_SHARE = 0.1
# By the key that names the validation text.
REMEDIES = {
    "data.valid_path": "keep it out of data.path, or leave data.valid_path out to hold out "
    "data.valid_fraction",
    "data.valid_split": "cut one split in two: data.train_split=train[:-N] "
    "data.valid_split=train[-N:]",
}


def refuse_same_files(train: Found | None, valid: Found | None) -> None:
    """ValueError where a file of the validation text is one of the training text as well, under
    whatever name: what is trained on cannot be validated on."""
    if train is None or valid is None:
        return
    sizes: dict[int, list[Path]] = {}
    for file in train.files:
        sizes.setdefault(file.stat().st_size, []).append(file)
    sizes.pop(0, None)
    for held_out in valid.files:
        same = [file for file in sizes.get(held_out.stat().st_size, []) if _same(file, held_out)]
        if same:
            raise ValueError(
                f"data.valid_path: {held_out} is in the training text too ({same[0]}); "
                f"{REMEDIES['data.valid_path']}"
            )


def _same(file: Path, other: Path) -> bool:
    return file.samefile(other) or file_digest(file) == file_digest(other)


def refuse_same_documents(
    train: TokenStore, valid: TokenStore, tell: Callable[[str], None], key: str = "data.valid_path"
) -> None:
    """ValueError where more than a tenth of the validation tokens are of documents that are in the
    training text as well, whatever files they come from; `tell` gets a line on fewer."""
    twice = _documents_in(valid, train)
    if not twice.any():
        return
    sizes = np.diff(valid.offsets)
    share = float(sizes[twice].sum() / sizes.sum())
    finding = (
        f"{twice.sum():,} of {len(twice):,} validation documents ({100 * share:.2g} % of the "
        f"tokens) are in the training text as well"
    )
    if share > _ALLOWED_SHARE:
        raise ValueError(f"{key}: {finding}; {REMEDIES[key]}")
    tell(f"{key}: {finding}")


def _documents_in(some: TokenStore, others: TokenStore) -> NDArray[np.bool_]:
    """Which documents of `some` are, token for token, among `others`."""
    ours, theirs = np.diff(some.offsets), np.diff(others.offsets)
    candidates = np.flatnonzero(np.isin(theirs, np.unique(ours)))
    # Most of them differ in two tokens already, which are compared for all at once.
    wanted = _marks(some, np.arange(len(ours)))
    candidates = candidates[np.isin(_marks(others, candidates), wanted)]
    there = {_digest(others, number) for number in candidates.tolist()}
    return np.array([_digest(some, number) in there for number in range(len(ours))], dtype=bool)


def _marks(store: TokenStore, numbers: NDArray[np.integer]) -> NDArray[np.uint64]:
    """The first token, the middle one and the length of documents, mixed into one number each."""
    start, stop = store.offsets[numbers], store.offsets[numbers + 1]
    parts = [store.tokens[start], store.tokens[(start + stop) // 2], stop - start]
    mixed = np.zeros(len(numbers), dtype=np.uint64)
    for part in parts:
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + part.astype(np.uint64)
    return mixed


def _digest(store: TokenStore, number: int) -> bytes:
    start, stop = store.offsets[number : number + 2].tolist()
    return hashlib.blake2b(store.tokens[start:stop].tobytes(), digest_size=16).digest()
