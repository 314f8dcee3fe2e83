"""Trivial baselines: generators that no metric of quality may prefer to real text."""

from collections.abc import Sequence

import numpy as np

from evaluation.ngrams import Ids

Rows = list[list[int]]
PHRASE = 8  # tokens


class Chain:
    """p(w | the last order - 1 tokens) by its counts in texts, backing off to a shorter context
    where the longer one never had a successor; the first token of each text is only a context."""

    def __init__(self, texts: Sequence[Sequence[int]], order: int) -> None:
        self._size = max(map(max, texts)) + 1
        self._tables = [self._table(texts, length) for length in range(order)]

    def _table(self, texts: Sequence[Sequence[int]], length: int) -> tuple[Ids, Ids, Ids]:
        """Sorted contexts of so many tokens as numbers, their successors, how often."""
        keys = [self._keys(np.asarray(text, dtype=np.int64), length) for text in texts]
        key, count = np.unique(np.concatenate(keys), return_counts=True)
        return key // self._size, key % self._size, count

    def _keys(self, text: Ids, length: int) -> Ids:
        first = max(length, 1)
        key = np.zeros(max(len(text) - first, 0), dtype=np.int64)
        for back in range(length, -1, -1):
            key = key * self._size + text[first - back : len(text) - back]
        return key

    def text(
        self, start: list[int], length: int, temperature: float, generator: np.random.Generator
    ) -> list[int]:
        """`start` and drawn tokens, `length` in all; p to the power 1 / temperature."""
        text = list(start)
        while len(text) < length:
            choice, count = self._successors(text)
            log_p = np.log(count) / temperature
            p = np.exp(log_p - log_p.max()).cumsum()
            text.append(int(choice[np.searchsorted(p, generator.random() * p[-1], side="right")]))
        return text

    def _successors(self, text: list[int]) -> tuple[Ids, Ids]:
        for length in range(min(len(self._tables) - 1, len(text)), 0, -1):
            wanted = 0
            for token in text[-length:]:
                wanted = wanted * self._size + token
            context, successor, count = self._tables[length]
            first, last = np.searchsorted(context, [wanted, wanted + 1])
            if last > first:
                return successor[first:last], count[first:last]
        return self._tables[0][1], self._tables[0][2]


def chain(
    training: Rows, order: int, like: Rows, begins: int, temperature: float, seed: int
) -> Rows:
    """Texts of a chain with the beginnings and lengths of `like`."""
    fitted, generator = Chain(training, order), np.random.default_rng(seed)
    return [fitted.text(row[:begins], len(row), temperature, generator) for row in like]


def shuffled(like: Rows, begins: int, seed: int) -> Rows:
    """Each text with its tokens in random order."""
    generator = np.random.default_rng(seed)
    return [row[:begins] + generator.permutation(row[begins:]).tolist() for row in like]


def one_text(like: Rows) -> Rows:
    """The first text, as often as there are texts."""
    return [list(like[0]) for _ in like]


def phrases(like: Rows, begins: int) -> Rows:
    """The first few tokens of each text over and over."""
    texts = []
    for row in like:
        phrase = row[begins : begins + PHRASE]
        texts.append((row[:begins] + phrase * len(row))[: len(row)])
    return texts
