"""Text to token ids and back, under one vocabulary convention: ordinary ids 0..N-1, the mask N."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]

MASK_MARK = "[MASK]"
UNKNOWN_MARK = "\N{REPLACEMENT CHARACTER}"
END_MARK = "<|endoftext|>"
BUILT_IN = "bytes, text8, symbols:<n>"


class Tokenizer(Protocol):
    """The interface of a tokenizer; `vocab_size` is N, so the mask id is `vocab_size`."""

    name: str
    vocab_size: int
    bos: int
    eos: int
    pad: int
    digest: str
    unknown: int | None  # the id that stands for what has none
    mask: int | None  # the id of a mask in its files, which changed places with the last one
    extra: range  # the last of 0..N-1 that stand for nothing

    def __hash__(self) -> int:
        """Of the object, as by default."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, without special tokens; text that spells one stays plain text."""

    def cut(self, text: str, start: int) -> int | None:
        """The first place from `start` on, before the end, where text can be cut so that the ids
        of both parts are those of the whole; None if there is none."""

    def lost(self, text: str) -> dict[str, int]:
        """The characters of a text that leave no id behind, with how often each occurs."""

    def encode_within(self, text: str) -> Ids:
        """Ids of a text that continues another one: nothing put before it, nothing taken from its
        ends."""

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of any ids; the mask shows as a mark, special tokens only if asked; never raises."""


class BuiltIn(ABC):
    """Ids of symbols, and after them one end-of-text id that is BOS, EOS and PAD. A text that has
    a part without an id is refused."""

    unknown: int | None = None
    mask: int | None = None
    extra = range(0)

    def __init__(self, name: str, symbols: int, content: bytes) -> None:
        self.name, self.vocab_size = name, symbols + 1
        self.bos = self.eos = self.pad = symbols
        self.digest = hashlib.sha256(content).hexdigest()

    @abstractmethod
    def encode_within(self, text: str) -> Ids:
        """The same as of a whole text."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        return [self.encode_within(text) for text in texts]

    def lost(self, text: str) -> dict[str, int]:
        return {}


class ByteTokenizer(BuiltIn):
    """One id per byte of an alphabet."""

    def __init__(self, name: str, alphabet: bytes) -> None:
        super().__init__(name, len(alphabet), b"byte alphabet " + alphabet)
        self.alphabet = alphabet
        self._lookup = np.full(256, -1, dtype=np.int16)
        self._lookup[np.frombuffer(alphabet, dtype=np.uint8)] = np.arange(len(alphabet))
        self._pieces = [bytes([value]) for value in alphabet]

    def encode_within(self, text: str) -> Ids:
        """Ids of a text; ValueError names the first character outside the alphabet."""
        ids = self._lookup[np.frombuffer(text.encode("utf-8"), dtype=np.uint8)]
        if ids.size and ids.min() < 0:
            allowed = {chr(piece[0]) for piece in self._pieces}
            odd = next(character for character in text if character not in allowed)
            raise ValueError(
                f"data.tokenizer_name_or_path={self.name!r}: no id for the character {odd!r}; "
                f"it knows {''.join(sorted(allowed))!r} only"
            )
        return ids

    def cut(self, text: str, start: int) -> int | None:
        """Anywhere."""
        return start if start < len(text) else None

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of the ids, invalid UTF-8 replaced."""
        end = END_MARK if special else ""
        table = [*self._pieces, end.encode(), MASK_MARK.encode()]
        return b"".join(
            table[i] if 0 <= i < len(table) else UNKNOWN_MARK.encode() for i in as_integers(ids)
        ).decode("utf-8", errors="replace")


class SymbolTokenizer(BuiltIn):
    """Texts that are space-separated integers 0..n-1 (the Markov language)."""

    def __init__(self, symbols: int) -> None:
        name = f"symbols:{symbols}"
        super().__init__(name, symbols, name.encode())

    def encode_within(self, text: str) -> Ids:
        """Ids of a text; ValueError where it is not integers in range."""
        try:
            ids = np.array(text.split(), dtype=np.int64)
        except ValueError as error:
            raise ValueError(f"tokenizer {self.name}: not integers ({error})") from error
        if ids.size and not 0 <= ids.min() <= ids.max() < self.eos:
            raise ValueError(f"tokenizer {self.name}: a symbol outside 0..{self.eos - 1}")
        return ids

    def cut(self, text: str, start: int) -> int | None:
        """At a space."""
        position = text.find(" ", start)
        return None if position < 0 else position

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """The integers, separated by spaces."""
        marks = {self.eos: END_MARK if special else "", self.vocab_size: MASK_MARK}
        shown = (
            marks.get(i, str(i) if 0 <= i < self.eos else UNKNOWN_MARK) for i in as_integers(ids)
        )
        return " ".join(mark for mark in shown if mark)


def make_tokenizer(name_or_path: str) -> Tokenizer:
    """A built-in tokenizer, else a local folder, else a Hugging Face Hub name. ValueError in one
    line, naming data.tokenizer_name_or_path, for anything else."""
    if name_or_path == "bytes":
        return ByteTokenizer("bytes", bytes(range(256)))
    if name_or_path == "text8":
        return ByteTokenizer("text8", b" abcdefghijklmnopqrstuvwxyz")
    if name_or_path.startswith("symbols:"):
        count = name_or_path.removeprefix("symbols:")
        if not count.isdecimal() or int(count) < 2:
            key = f"data.tokenizer_name_or_path={name_or_path!r}"
            raise ValueError(f"{key}: symbols:<n> needs an integer n of 2 or more")
        return SymbolTokenizer(int(count))
    # Only here: transformers takes a second to import and the built-in tokenizers never need it.
    from data.pretrained import load_pretrained

    return load_pretrained(name_or_path)


def as_integers(ids: Iterable[int]) -> list[int]:
    return ids.tolist() if hasattr(ids, "tolist") else [int(i) for i in ids]
