"""A language whose law is known, as mode=oracle needs it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


class Language(Protocol):
    """A Markov chain of `order` over the symbols 0 .. states - 1.

    `tables` have p(next | the first symbols of a text), one (states^k, states) for each number k =
    0 .. order of symbols seen; the last is `transition`, `stationary` (S,) the law of contexts."""

    states: int
    order: int
    transition: Array
    stationary: Array
    tables: list[Array]

    def nll(self, tokens: Tensor) -> Tensor:
        """(B, L) exact nats of each symbol given those before it; other tokens cost nothing."""

    def texts(self, count: int, length: int, rng: np.random.Generator) -> Ids:
        """(count, length) independent texts."""


def text_entropy(language: Language, length: int) -> float:
    """H(x_1 .. x_length) in nats, exactly."""
    law, total = np.ones(1), 0.0  # of the contexts of symbols seen so far
    for table in language.tables[:length]:
        logs = np.log(np.where(table > 0, table, 1.0))
        each = -float((law[:, None] * table * logs).sum())
        total += each
        law = (law[:, None] * table).ravel()
        law = law if len(law) <= len(language.stationary) else language.stationary
    return total + max(0, length - language.order - 1) * each
