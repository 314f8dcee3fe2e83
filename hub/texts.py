"""Texts that a pipeline takes and gives, and their likelihood."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from algos.base import Algorithm, Draws, batch_of
from data.given import encode_given
from data.tokenizers import Tokenizer


class Texts(list[str]):
    """Texts, with the `tokens` of each, BOS among them: a text need not show them all."""

    def __init__(self, texts: Sequence[str], tokens: list[list[int]]) -> None:
        super().__init__(texts)
        self.tokens = tokens


def rows_of(
    texts: Sequence[str], tokenizer: Tokenizer, start: list[int], longest: int
) -> list[list[int]]:
    """The tokens of each text, with those at the `start` of every one; ValueError for none, for
    one text alone, and for a text without tokens or with more than `longest`."""
    if isinstance(texts, str):
        raise ValueError("texts: a list of texts, not a text")
    if not texts:
        raise ValueError("texts: there is none")
    if isinstance(texts, Texts):
        return texts.tokens
    rows = []
    for number, text in enumerate(texts):
        row = start + encode_given(text, tokenizer, begins=True)
        if not len(start) < len(row) <= longest:
            raise ValueError(
                f"texts[{number}]: {len(row)} tokens with BOS, from {len(start) + 1} to "
                f"model.length={longest} are allowed"
            )
        rows.append(row)
    return rows


def check_count(name: str, value: Any) -> None:
    """ValueError where there is not one at least."""
    if type(value) is not int or value < 1:
        raise ValueError(f"{name}={value!r}: must be a whole number of at least 1")


class Nats(NamedTuple):
    """-log p of a text, or a bound on it: `stderr` is the standard error of its random noise, 0 for
    an exact number, None for a single pass; `tokens` are those that are scored."""

    nats: float
    stderr: float | None
    tokens: int


def likelihood(
    algorithm: Algorithm,
    rows: Sequence[list[int]],
    groups: Sequence[Sequence[int]],
    given: int,
    passes: int,
) -> list[Nats]:
    """-log p of each row of tokens, or the mean of a bound over `passes`; the first `given` tokens
    are not scored, `groups` are the positions of rows of one length."""
    sums = torch.zeros(passes, len(rows), dtype=torch.float64)
    for number in range(passes):
        for group in groups:
            tokens = torch.tensor([rows[i] for i in group], device=algorithm.device)
            batch = batch_of(tokens, given, torch.tensor(group))
            nats = algorithm.nll(batch, Draws(number, passes)).double()
            nats = torch.where(algorithm.scored(batch), nats, 0.0)
            sums[number, group] = nats.sum(1).cpu()
    errors = [None if algorithm.nll_is_bound else 0.0] * len(rows)
    if passes > 1:
        errors = (sums.std(0) / passes**0.5).tolist()
    scored = [len(row) - given for row in rows]
    return [Nats(*row) for row in zip(sums.mean(0).tolist(), errors, scored, strict=True)]
