"""Corpora as the other files see them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from data.files import Found
from data.formats import Document
from data.markov import MarkovLanguage

SPLITS = ("train", "valid")


class Corpus(ABC):
    """Documents of named `splits`: "train" may be absent, "valid" never is."""

    splits: tuple[str, ...] = SPLITS
    language: MarkovLanguage | None = None  # the exact distribution of the texts, where it is known
    # Whether the validation text is the user's own choice, which may be trained on by mistake.
    is_held_out_apart: bool = False

    @abstractmethod
    def documents(self, split: str) -> Iterator[Document]:
        """The texts of a split, always in the same order, one at a time."""

    @abstractmethod
    def digest(self, split: str) -> str:
        """Changes whenever the split's texts change."""

    def found(self, split: str) -> Found | None:
        """The files that a split is read from and what was passed over; None if it has none."""
        return None

    def size_hint(self, split: str) -> int | None:
        """Roughly the bytes of the split's text, for an estimate of the time; None if unknown."""
        return None
