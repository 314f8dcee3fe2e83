"""The part of each token in a decoded text, also of tokens that share a character."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby, pairwise

from data.given import find_anchor
from data.tokenizers import UNKNOWN_MARK, Tokenizer

_REACH = 3  # a character of UTF-8 that is not complete has at most so many bytes, hence tokens


class TokenTexts:
    """Parts of text whose concatenation is the text that the tokenizer decodes.

    A character in several tokens is the part of the first, the others have an empty part; as long
    as some of its tokens are missing, each broken position shows a replacement sign."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._anchor = list(find_anchor(tokenizer))
        self._before = len(self._decode(self._anchor))
        self.first = lru_cache(maxsize=None)(lambda token: self._decode([token]))
        self.alone = lru_cache(maxsize=None)(lambda token: self._joint((token,)))
        self.joint = lru_cache(maxsize=1 << 16)(self._joint)

    def parts(self, tokens: Sequence[int]) -> list[str]:
        """The part of every token of a text."""
        parts = [self.alone(token) for token in tokens]
        broken = [UNKNOWN_MARK in part for part in parts]
        # Some tokenizers write a space in front of every token but the first.
        parts[:1] = [self.first(token) for token in tokens[:1]]
        for is_broken, positions in groupby(range(len(tokens)), broken.__getitem__):
            if is_broken:
                run = list(positions)
                parts[run[0] : run[-1] + 1] = self._run([tokens[i] for i in run])
        return parts

    def _run(self, run: list[int]) -> list[str]:
        """The parts of consecutive tokens that each hold a piece of a character.

        A cut between two of them is none within a character when the text of the tokens in reach
        of the cut is that of the two sides."""
        cuts = [
            cut
            for cut in range(1, len(run))
            if self.joint(tuple(run[max(0, cut - _REACH) : cut + _REACH]))
            == self.joint(tuple(run[max(0, cut - _REACH) : cut]))
            + self.joint(tuple(run[cut : cut + _REACH]))
        ]
        parts = [""] * len(run)
        for start, end in pairwise([0, *cuts, len(run)]):
            parts[start] = self.joint(tuple(run[start:end]))
        return parts

    def _joint(self, tokens: tuple[int, ...]) -> str:
        return self._decode([*self._anchor, *tokens])[self._before :]

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, special=True)
