"""The part of each token in a decoded text, also of tokens that share a character."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

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
        self.alone = lru_cache(maxsize=None)(self._alone)
        self.joint = lru_cache(maxsize=1 << 16)(self._joint)

    def parts(self, tokens: Sequence[int]) -> list[str]:
        """The part of every token of a text."""
        parts = [""] * len(tokens)
        for position, part in self.changed(tokens, range(len(tokens))):
            parts[position] = part
        return parts

    def changed(self, tokens: Sequence[int], changed: Iterable[int]) -> Iterator[tuple[int, str]]:
        """Positions and parts that may be new once the tokens at the positions `changed`, in
        rising order, are: these, and their neighbours in a broken character."""
        done = 0
        for position in changed:
            if position < done:
                continue
            start, done = position, position + 1
            while start > 0 and self._is_broken(tokens[start - 1]):
                start -= 1
            while done < len(tokens) and self._is_broken(tokens[done]):
                done += 1
            yield from self._stretch(tokens, start, done)

    def _stretch(self, tokens: Sequence[int], start: int, end: int) -> Iterator[tuple[int, str]]:
        run: list[int] = []
        for position in range(start, end):
            if self._is_broken(tokens[position]):
                run.append(tokens[position])
                continue
            yield from zip(range(position - len(run), position), self._run(run), strict=True)
            run = []
            # Some tokenizers write a space in front of every token but the first.
            yield position, self.alone(tokens[position], position == 0)
        yield from zip(range(end - len(run), end), self._run(run), strict=True)

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
        for start, end in pairwise([0, *cuts, len(run)] if run else []):
            parts[start] = self.joint(tuple(run[start:end]))
        return parts

    def _is_broken(self, token: int) -> bool:
        return UNKNOWN_MARK in self.alone(token, False)

    def _alone(self, token: int, first: bool) -> str:
        return self._decode([token]) if first else self._joint((token,))

    def _joint(self, tokens: tuple[int, ...]) -> str:
        return self._decode([*self._anchor, *tokens])[self._before :]

    def _decode(self, tokens: list[int]) -> str:
        return self._tokenizer.decode(tokens, special=True)
