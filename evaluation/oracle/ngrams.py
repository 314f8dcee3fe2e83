"""Distances of the n-grams of generated texts from those of a language that is known exactly."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from data.markov import Array, MarkovLanguage
from evaluation.bootstrap import Estimate, standard_error
from evaluation.ngrams import Ids, joined

NEVER = 700.0  # nats of a symbol that cannot follow: less than what a float64 can say


class Grams(NamedTuple):
    """The number (S, W) of the n-gram at each place of each text, dense from 0, and for each
    number (G,) its true probability and whether it is made of symbols of the language only."""

    numbers: Ids
    truth: Array
    possible: NDArray[np.bool_]


def grams(texts: Ids, n: int, language: MarkovLanguage) -> Grams:
    """All n-grams of texts (S, M), M >= n; the chain is stationary, so the place plays no part."""
    windows = np.lib.stride_tricks.sliding_window_view(texts, n, axis=1)
    numbers = windows[..., 0]
    for step in range(1, n):
        numbers = joined(numbers, windows[..., step])
    _, first, numbers = np.unique(numbers, return_index=True, return_inverse=True)
    different = windows.reshape(-1, n)[first]
    possible = np.all(different < language.states, axis=1)
    nats = language.nll(torch.from_numpy(different)).clamp_max(NEVER).sum(1).numpy()
    return Grams(numbers.reshape(windows.shape[:2]), np.where(possible, np.exp(-nats), 0), possible)


def distances(texts: Ids, language: MarkovLanguage, sizes: Sequence[int]) -> dict[str, Estimate]:
    """Total variation and KL(texts || language) in nats of the n-grams of texts (S, M), S >= 2, for
    each n of `sizes`, and the mean over places of the total variation of the symbols there. KL
    leaves out n-grams with tokens that are no symbols, whose cost would be infinite. Errors are to
    first order in the counted law: those of the mean over texts of what each place adds."""
    by_name: dict[str, Estimate] = {}
    for n in sizes:
        numbers, q, possible = grams(texts, n, language)
        p = np.bincount(numbers.ravel(), minlength=len(q)) / numbers.size
        missed = max(0.0, 1 - float(q.sum()))
        by_name[f"tv_{n}"] = _estimate(
            (np.abs(p - q).sum() + missed) / 2, np.sign(p - q)[numbers] / 2
        )
        nats = np.log(p) - np.log(np.maximum(q, np.finfo(float).tiny))
        nats = np.where(possible, nats, 0.0)
        by_name[f"kl_{n}"] = _estimate((p * nats).sum(), nats[numbers])
    return by_name | {"tv_places": _places(texts, language.tables[0][0])}


def _places(texts: Ids, law: Array) -> Estimate:
    count, length = texts.shape
    width = max(int(texts.max()) + 1, len(law))
    cell = np.arange(length) * width + texts  # (S, M)
    p = np.bincount(cell.ravel(), minlength=length * width) / count
    over = p.reshape(length, width) - np.pad(law, (0, width - len(law)))
    return _estimate(np.abs(over).sum(1).mean() / 2, np.sign(over).ravel()[cell] / 2)


def _estimate(value: float, adds: Array) -> Estimate:
    """With the part of each place (S, W)."""
    return Estimate(float(value), standard_error(adds.mean(1)))
