"""MAUVE (Pillutla et al., 2021) of two sets of feature vectors, where its package is installed."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import NORMAL, Interval

HALVES = 10
LEAST = 40  # texts a side: MAUVE takes a tenth of them as clusters, fewer say nothing


def missing(texts: int) -> str | None:
    """Why there is no MAUVE of so many texts a side; None where there can be one."""
    if importlib.util.find_spec("mauve") is None:
        return "the package mauve-text is not installed"
    if texts < LEAST:
        return f"{texts} texts a side, {LEAST} are needed"
    return None


def mauve(generated: NDArray[np.float32], reference: NDArray[np.float32], seed: int) -> Interval:
    """MAUVE of features (S, D), from 0 to 1 for equal distributions, with the package's defaults.
    The error is the spread over random halves of the texts (the delete-half jackknife): texts drawn
    twice would make clusters of their own."""
    count = min(len(generated), len(reference))
    generated, reference = generated[:count], reference[:count]
    value, generator = _score(generated, reference, seed), np.random.default_rng(seed)
    halves = []
    for _ in range(HALVES):
        half = generator.permutation(count)[: count // 2]
        halves.append(_score(generated[half], reference[half], seed))
    stderr = float(np.std(halves, ddof=1))
    low, high = max(0.0, value - NORMAL * stderr), min(1.0, value + NORMAL * stderr)
    return Interval(value, stderr, low, high)


def _score(generated: NDArray[np.float32], reference: NDArray[np.float32], seed: int) -> float:
    from mauve import compute_mauve

    with _silent_library():
        return float(compute_mauve(p_features=reference, q_features=generated, seed=seed).mauve)


@contextmanager
def _silent_library() -> Iterator[None]:
    """Its clustering prints a warning for the very number of clusters that MAUVE prescribes, from
    C++, past Python's stderr."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
