"""Corpora as the other files see them."""

from collections.abc import Iterator
from typing import Protocol

from data.files import Found
from data.formats import Document
from data.markov import MarkovLanguage

SPLITS = ("train", "valid")


class Corpus(Protocol):
    """Documents of named splits."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are: "train" may be absent, "valid" never is."""

    @property
    def language(self) -> MarkovLanguage | None:
        """The exact distribution of the texts, where it is known."""

    def documents(self, split: str) -> Iterator[Document]:
        """The texts of a split, always in the same order, one at a time."""

    def found(self, split: str) -> Found | None:
        """The files that a split is read from and what was passed over; None if it has none."""

    @property
    def is_held_out_apart(self) -> bool:
        """Whether the validation text is the user's own choice of files, which may be trained on
        by mistake."""

    def digest(self, split: str) -> str:
        """Changes whenever the split's texts change."""

    def size_hint(self, split: str) -> int | None:
        """Roughly the bytes of the split's text, for an estimate of the time; None if unknown."""
