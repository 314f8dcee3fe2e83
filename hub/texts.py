"""Texts that a pipeline takes and gives."""

from collections.abc import Sequence
from typing import Any

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
