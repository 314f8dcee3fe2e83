"""Numbers on generated tokens alone: entropy, distinct n-grams, repetition.

A set of sequences is an (S, L) array or a list of 1-D arrays of any lengths. The same functions
on held-out text give the reference that generated text is held against."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evaluation.ngrams import Ids, joined

Sequences = Tensor | np.ndarray | Sequence[Tensor | np.ndarray | Sequence[int]]

REPEATED_GRAM = 4


def unigram_entropy(sequences: Sequences) -> float:
    """Mean over sequences of their `entropies`. ValueError for an empty set."""
    return float(entropies(sequences).mean())


def entropies(sequences: Sequences) -> NDArray[np.float64]:
    """H = -sum p log p in nats of each sequence (S,), p = count / length of its own ids. A sequence
    without a token counts as 0, the entropy of nothing. ValueError for an empty set."""
    ids, lengths = _flatten(sequences)
    owner, count = _counts(_owners(lengths), ids)
    count_log = np.bincount(owner, weights=count * np.log(count), minlength=len(lengths))
    length = np.maximum(lengths, 1)
    return np.maximum(np.log(length) - count_log / length, 0.0)


def distinct_n(sequences: Sequences, n: int) -> float:
    """Different n-grams over all n-grams of the whole set; no n-gram spans two sequences. A
    sequence shorter than n has none to give. ValueError for an empty set, and where no sequence has
    one."""
    owner, gram = _grams(*_flatten(sequences), n)
    return len(np.unique(gram)) / len(owner)


def distinct_without(sequences: Sequences, n: int) -> NDArray[np.float64]:
    """distinct_n (S,) of the set without each sequence in turn. ValueError as there, and where one
    sequence has all n-grams."""
    ids, lengths = _flatten(sequences)
    owner, gram = _grams(ids, lengths, n)
    different, _ = _counts(owner, gram)  # the owner of every n-gram, once each
    key = np.unique(owner * (gram.max() + 1) + gram) % (gram.max() + 1)
    own_only = np.bincount(key)[key] == 1
    lost = np.bincount(different[own_only], minlength=len(lengths))
    left = len(owner) - np.bincount(owner, minlength=len(lengths))
    if not left.all():
        raise ValueError(f"no {n}-gram is left without the one sequence that has them all")
    return (len(np.unique(gram)) - lost) / left


def repeated_shares(sequences: Sequences) -> NDArray[np.float64]:
    """The share of 4-grams that occurred earlier in the same sequence, of each one. A sequence
    shorter than 4 is left out. ValueError for an empty set, and where all are."""
    ids, lengths = _flatten(sequences)
    owner, gram = _grams(ids, lengths, REPEATED_GRAM)
    different = np.bincount(_counts(owner, gram)[0], minlength=len(lengths))
    total = np.bincount(owner, minlength=len(lengths))
    return 1.0 - different[total > 0] / total[total > 0]


def _flatten(sequences: Sequences) -> tuple[Ids, Ids]:
    """All ids in one row (T,), numbered densely from 0, and the sequences' lengths (S,)."""
    if isinstance(sequences, Tensor):
        sequences = sequences.cpu().numpy()
    if not len(sequences):
        raise ValueError("no sequences: at least one is required")
    rows = [np.asarray(row.cpu() if isinstance(row, Tensor) else row) for row in sequences]
    for number, row in enumerate(rows):
        if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
            raise ValueError(
                f"sequence {number} has shape {row.shape} and type {row.dtype}: "
                "a row of integer ids is required"
            )
    ids = np.concatenate([row.astype(np.int64) for row in rows])
    return np.unique(ids, return_inverse=True)[1], np.array([len(row) for row in rows])


def _grams(ids: Ids, lengths: Ids, n: int) -> tuple[Ids, Ids]:
    """Owner (G,) and dense number (G,) of every n-gram of ids (T,); equal n-grams share one."""
    if n < 1:
        raise ValueError(f"n={n}: an n-gram has at least 1 token")
    if lengths.max() < n:
        raise ValueError(f"no {n}-gram: the longest sequence has {lengths.max()} tokens")
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(ids))  # (T,) tokens to the end
    start = np.flatnonzero(left >= n)
    gram = ids[start]
    for step in range(1, n):
        gram = joined(gram, ids[start + step])
    return _owners(lengths)[start], gram


def _owners(lengths: Ids) -> Ids:
    """The sequence that each of the ids (T,) belongs to."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _counts(owner: Ids, gram: Ids) -> tuple[Ids, Ids]:
    """For every n-gram that an owner has, once: the owner and how many times."""
    width = gram.max(initial=0) + 1
    key, count = np.unique(owner * width + gram, return_counts=True)
    return key // width, count
