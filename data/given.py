"""Tokens of a given text that read as that text in the place where it stands."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from data.tokenizers import Tokenizer, as_integers

# What a text is encoded behind or before, and cut off again: some tokenizers write the beginning
# of a word otherwise than what continues one.
_NEIGHBOURS = ("a", "0", ".", "\n")
_ANCHORS = 5000  # ids among which every known vocabulary has a letter or a digit


def encode_given(text: str, tokenizer: Tokenizer, begins: bool) -> list[int]:
    """Ids of `text` at the beginning of a sample, or behind other tokens. Of the ways to encode it
    the first that a reader cannot tell from `text`; where a tokenizer changes letters, the first
    that differs in case, accents and the like alone; else as the tokenizer has it.

    ValueError where a character has no token."""
    if not text:
        return []
    anchor = [*find_anchor(tokenizer)]
    front = [] if begins else anchor
    ways, readings = [], []
    for ids in _ways(text, tokenizer, begins):
        ways.append(ids)
        readings.append(_readings(ids, tokenizer, front, anchor))
        if readings[-1] == (text, text):
            return ids
    lost = tokenizer.lost(text)
    for character in text:
        # Normalizers take out control characters, marks and spaces, and may.
        if character in lost and unicodedata.category(character)[0] not in "CMZ":
            raise ValueError(f"no token of {tokenizer.name!r} stands for {character!r}")
    for change in (str, _plain):
        for index in (1, 0):  # read with a token behind it, then without
            for ids, reading in zip(ways, readings, strict=True):
                if change(reading[index]) == change(text):
                    return ids
    return ways[0]


@lru_cache(maxsize=16)
def find_anchor(tokenizer: Tokenizer) -> tuple[int, ...]:
    """A token of plain letters or digits to stand beside others; none where there is none."""
    for token in range(min(_ANCHORS, tokenizer.vocab_size)):
        text = tokenizer.decode([token], special=True)
        if text.isascii() and text.isalnum():
            return (token,)
    return ()


def _ways(text: str, tokenizer: Tokenizer, begins: bool) -> Iterator[list[int]]:
    whole = as_integers(tokenizer.encode_batch([text])[0])
    within = _within(text, tokenizer)
    yield from (whole, within, _within(f" {text}", tokenizer)) if begins else (within, whole)
    for beside in _NEIGHBOURS:
        try:
            alone, behind = _within(beside, tokenizer), _within(beside + text, tokenizer)
            before = _within(text + beside, tokenizer)
        except ValueError:  # there is no token for the neighbour
            continue
        count = len(alone)
        if not begins and behind[:count] == alone:
            yield behind[count:]
        if count and before[-count:] == alone:
            yield before[:-count]


def _within(text: str, tokenizer: Tokenizer) -> list[int]:
    return as_integers(tokenizer.encode_within(text))


def _readings(
    ids: list[int], tokenizer: Tokenizer, front: list[int], anchor: list[int]
) -> tuple[str, str]:
    """The text of the ids behind `front`, and the same where the anchor follows, without it."""

    def read(tokens: list[int]) -> str:
        return tokenizer.decode(tokens, special=True)

    start, end = len(read(front)), read(anchor)
    alone, followed = read([*front, *ids]), read([*front, *ids, *anchor])
    if not followed.endswith(end):
        return alone[start:], ""
    return alone[start:], followed[start : len(followed) - len(end)]


def _plain(text: str) -> str:
    """Without what normalizers change: case, accents, compatibility forms."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(character for character in decomposed if unicodedata.category(character) != "Mn")
