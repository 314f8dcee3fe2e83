"""Train n-gram overlap: how much of a text stands word for word in the training text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RARE = 0.02  # of held-out text
LENGTHS = (4, 8, 16, 32, 64)  # of n-grams
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits evenly spread

Hashes = NDArray[np.uint64]


class TrainOverlap:
    """The n-grams of a training text, with n as the shortest of LENGTHS of which held-out text
    shares so few that they cover at most 2 % of it, and the longest of them where none does; never
    more than half a text, so that what is copied from its middle shows too, but for texts that are
    shorter than twice the shortest: those are compared whole."""

    def __init__(self, training: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]]):
        self.known = np.empty(0, dtype=np.uint64)
        longest = min(max(map(len, training)), max(map(len, held_out)))
        for self.n in [n for n in LENGTHS if 2 * n <= longest] or [longest]:
            self.known = np.unique(np.concatenate([_hashes(row, self.n) for row in training]))
            if self.shares(held_out).mean() <= RARE:
                break

    def shares(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Of each text (S,), the share of its tokens that lie in an n-gram of the training text."""
        return np.array([self._share(text) for text in texts])

    def _share(self, text: Sequence[int]) -> float:
        hashes = _hashes(text, self.n)
        position = np.searchsorted(self.known, hashes)
        shared = self.known[np.minimum(position, len(self.known) - 1)] == hashes
        ends = np.zeros(len(text) + 1, dtype=np.int64)
        starts = np.flatnonzero(shared)
        np.add.at(ends, starts, 1)
        np.add.at(ends, starts + self.n, -1)
        return float((ends.cumsum()[:-1] > 0).mean()) if len(text) else 0.0


def _hashes(text: Sequence[int], n: int) -> Hashes:
    """One number for each n-gram of the text (max(len - n + 1, 0),): sums modulo 2^64 of mixed ids
    times powers of an odd factor."""
    if len(text) < n:
        return np.empty(0, dtype=np.uint64)
    ids = (np.asarray(text, dtype=np.uint64) + np.uint64(1)) * _FACTOR
    ids ^= ids >> np.uint64(29)
    windows = np.lib.stride_tricks.sliding_window_view(ids, n)
    powers = np.cumprod(np.full(n, _FACTOR | np.uint64(2)))
    return (windows * powers).sum(1, dtype=np.uint64)
