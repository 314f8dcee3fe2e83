"""Corpora that are on this machine: the interpreter's own library, files, the Markov language."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.corpus import SPLITS, Corpus
from data.files import Found, digest_of, read_documents, search
from data.formats import Document, cut_out, length_of, parts_of
from data.markov import MarkovLanguage
from data.settings import Markov, Stdlib, Text
from schema.check import check_values


class StdlibCorpus(Corpus):
    """The standard library of the running interpreter, one document per .py file. Its digest goes
    into every record, since the text differs between Python versions."""

    # Vendored packages and test data are neither prose nor the library.
    skipped = frozenset({"site-packages", "dist-packages", "test", "tests", "idle_test"})

    def __init__(self, valid_fraction: float) -> None:
        check_values(Stdlib, "data", valid_fraction=valid_fraction)
        self.valid_fraction = valid_fraction

    def _texts(self) -> Iterator[str]:
        for folder, below, names in os.walk(sysconfig.get_path("stdlib")):
            # In place: the walk then never enters the others, which may be many times larger.
            below[:] = sorted(set(below) - self.skipped)
            for name in sorted(names):
                if name.endswith(".py"):
                    yield Path(folder, name).read_bytes().decode("utf-8", "surrogateescape")

    def documents(self, split: str) -> Iterator[str]:
        """Files whose content hashes into the split, folder by folder in the order of names."""
        valid = split == "valid"
        return (text for text in self._texts() if _is_held_out(text, self.valid_fraction) is valid)

    def digest(self, split: str) -> str:
        """SHA-256 of the split's texts."""
        total = hashlib.sha256()
        for text in self.documents(split):
            total.update(hashlib.sha256(text.encode("utf-8", "replace")).digest())
        return total.hexdigest()


@dataclass(eq=False)
class TextCorpus(Corpus):
    """Files of the user's own: one file, or all files of a folder in the order of their names.
    Validation is `valid_path`; else a `valid_fraction` of the text: its end ("tail", by characters,
    which also cuts a single document) or documents by the hash of their content ("hash")."""

    path: str | None
    valid_path: str | None
    text_key: str
    valid_split: str
    valid_fraction: float

    def __post_init__(self) -> None:
        if self.path is None:
            raise ValueError("data.path=null: name a file or a folder (txt, jsonl or parquet)")
        split = {"valid_split": self.valid_split, "valid_fraction": self.valid_fraction}
        check_values(Text, "data", **split)
        self.is_held_out_apart = self.valid_path is not None

    def _place(self, split: str) -> tuple[str, str]:
        """The path that a split is read from, and its key."""
        if split == "valid" and self.valid_path is not None:
            return self.valid_path, "data.valid_path"
        return str(self.path), "data.path"

    def found(self, split: str) -> Found:
        """The split's files."""
        return search(*self._place(split))

    def _texts(self, split: str) -> Iterator[Document]:
        _, key = self._place(split)
        for file in self.found(split).files:
            yield from read_documents(file, self.text_key, key)

    def documents(self, split: str) -> Iterator[Document]:
        """The split's documents; files are read one after another."""
        if self.valid_path is not None:
            return self._texts(split)
        if self.valid_split == "tail":
            return self._halves(split)
        return self._hashed(split)

    def _hashed(self, split: str) -> Iterator[Document]:
        held_out = split == "valid"
        seen = kept = 0
        for text in self._texts(split):
            seen += 1
            if _is_held_out(text, self.valid_fraction) is held_out:
                kept += 1
                yield text
        if kept == 0:
            raise ValueError(
                f"data.valid_split='hash': none of the {seen} documents of {self.path!r} falls "
                f"into the {split} split; data.valid_split=tail cuts documents too"
            )

    def _halves(self, split: str) -> Iterator[Document]:
        total = sum(length_of(text) for text in self._texts(split))
        cut = int(total * (1 - self.valid_fraction))
        start = 0
        for text in self._texts(split):
            length = length_of(text)
            here = min(max(cut - start, 0), length)
            start += length
            first, last = (0, here) if split == "train" else (here, length)
            is_ours = (start <= cut) is (split == "train")
            if first < last or (is_ours and not length):
                yield cut_out(text, first, last)

    def digest(self, split: str) -> str:
        """SHA-256 of the file contents and of how they are split."""
        how = [split, self.valid_split, self.valid_fraction] if self.valid_path is None else None
        content = digest_of(self.found(split).files)
        return hashlib.sha256(repr([content, self.text_key, how]).encode()).hexdigest()

    def size_hint(self, split: str) -> int | None:
        """The files' sizes, None where some are compressed."""
        files = self.found(split).files
        if any(file.suffix.lower() not in (".txt", ".jsonl") for file in files):
            return None
        total = sum(file.stat().st_size for file in files)
        if self.valid_path is not None:
            return total
        share = self.valid_fraction if split == "valid" else 1 - self.valid_fraction
        return int(total * share)


class MarkovCorpus(Corpus):
    """One long document per split, drawn from a `MarkovLanguage`. One document, so that every block
    is a cut of the stationary chain and `nll` is exact."""

    language: MarkovLanguage

    def __init__(
        self,
        states: int,
        order: int,
        concentration: float,
        language_seed: int,
        train_tokens: int,
        valid_tokens: int,
    ) -> None:
        check_values(Markov, "data", train_tokens=train_tokens, valid_tokens=valid_tokens)
        self.language = MarkovLanguage(states, order, language_seed, concentration)
        self.tokens = {"train": train_tokens, "valid": valid_tokens}
        self.seed = language_seed

    def documents(self, split: str) -> Iterator[str]:
        """The split's chain, as space-separated integers."""
        rng = np.random.default_rng([self.seed, SPLITS.index(split), 1])
        symbols = self.language.sample(self.tokens[split], rng)
        yield " ".join(map(str, symbols.tolist()))

    def digest(self, split: str) -> str:
        """SHA-256 of the transitions and the length, which fix the chain with the seed."""
        table = self.language.transition.tobytes()
        fields = repr([split, self.seed, self.tokens[split]]).encode()
        return hashlib.sha256(table + fields).hexdigest()


def _is_held_out(text: Document, fraction: float) -> bool:
    """Decided by the document's content alone, so new documents never move old ones."""
    content = hashlib.blake2b(digest_size=8)
    for part in parts_of(text):
        content.update(part.encode("utf-8", "replace"))
    return int.from_bytes(content.digest(), "big") < fraction * 2**64
