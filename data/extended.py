"""A tokenizer for a model that has more states than it has tokens."""

from collections.abc import Iterable, Sequence

from data.tokenizers import Ids, Tokenizer


class ExtendedTokenizer:
    """A tokenizer with more ids: `extra`, from its own N up to another one, are of no text and
    shown as unknown. Texts have the same ids, so the digest is the same."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self.inner = tokenizer
        self.vocab_size = vocab_size
        self.extra = range(tokenizer.vocab_size, vocab_size)
        self.name, self.digest = tokenizer.name, tokenizer.digest
        self.bos, self.eos, self.pad = tokenizer.bos, tokenizer.eos, tokenizer.pad
        self.unknown, self.mask = tokenizer.unknown, tokenizer.mask

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        return self.inner.encode_batch(texts)

    def cut(self, text: str, start: int) -> int | None:
        return self.inner.cut(text, start)

    def lost(self, text: str) -> dict[str, int]:
        return self.inner.lost(text)

    def encode_within(self, text: str) -> Ids:
        return self.inner.encode_within(text)

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of the ids, of which only the last is the mask."""
        names = dict.fromkeys(self.extra, -1) | {self.vocab_size: self.extra.start}
        return self.inner.decode([names.get(int(i), int(i)) for i in ids], special)


def with_states(tokenizer: Tokenizer, vocab_size: int) -> Tokenizer:
    """The tokenizer with ids up to `vocab_size`, itself where it has as many."""
    if vocab_size == tokenizer.vocab_size:
        return tokenizer
    return ExtendedTokenizer(tokenizer, vocab_size)
