"""Tinyshakespeare, a megabyte of Shakespeare's plays in the public domain, which comes with the
project: the same text on every machine."""

import hashlib
import lzma
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from data.corpus import Corpus
from data.settings import Shakespeare
from schema.check import check_values

FILE = Path(__file__).with_name("texts") / "tinyshakespeare.txt.xz"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"  # of the plain text
TRAINING = 0.9  # of the characters, as in the recipe of nanoGPT


class ShakespeareCorpus(Corpus):
    """One document per split: the first nine tenths of the characters, or the first
    `train_characters` of these, and the last tenth."""

    def __init__(self, train_characters: int | None) -> None:
        check_values(Shakespeare, "data", train_characters=train_characters)
        self.train_characters = train_characters

    @cached_property
    def _text(self) -> str:
        content = lzma.decompress(FILE.read_bytes())
        if hashlib.sha256(content).hexdigest() != SHA256:
            raise ValueError(f"data=shakespeare: {FILE} is damaged, its text has another digest")
        return content.decode("ascii")

    def _split(self, split: str) -> str:
        cut = int(TRAINING * len(self._text))
        if split == "valid":
            return self._text[cut:]
        return self._text[: min(cut, self.train_characters or cut)]

    def documents(self, split: str) -> Iterator[str]:
        """The split's only document."""
        yield self._split(split)

    def digest(self, split: str) -> str:
        """SHA-256 of the split's text."""
        return hashlib.sha256(self._split(split).encode()).hexdigest()
