"""Undo the word-level tokenization of published corpora, as the papers' evaluations do."""

import re
from collections.abc import Callable, Sequence
from functools import partial

Rule = tuple[str | re.Pattern[str], str]


def _regex(pairs: Sequence[tuple[str, str]]) -> list[Rule]:
    return [(re.compile(pattern), new) for pattern, new in pairs]


# The order matters: each rule sees the text the earlier ones left.

# Joins punctuation, brackets, quotes, numbers (" @,@ ") and headings.
_WIKITEXT: list[Rule] = [
    *[("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")],
    *[(f" {mark} ", f"{mark} ") for mark in ":;.!?,"],
    *_regex(
        [
            (r"\(\s*([^\)]*?)\s*\)", r"(\1)"),
            (r"\[\s*([^\]]*?)\s*\]", r"[\1]"),
            (r"{\s*([^}]*?)\s*}", r"{\1}"),
            (r"\"\s*([^\"]*?)\s*\"", r'"\1"'),
            (r"'\s*([^']*?)\s*'", r"'\1'"),
        ]
    ),
    *[("= = = =", "===="), ("= = =", "==="), ("= =", "==")],
    *[(" \N{DEGREE SIGN} ", "\N{DEGREE SIGN}"), (" \n", "\n"), ("\n ", "\n")],
    *[(" N ", " 1 "), (" 's", "'s")],
]

# Joins clitics and numbers; the number mark N reads 1, <unk> reads "?".
# Two passes over N, since " N N " holds one match only; the papers' code makes ten.
_PTB: list[Rule] = [
    *[(" 's", "'s"), ("s ' ", "s' "), (" n't", "n't"), (" \n ", "\n"), ("\\/", "/")],
    *[(" N ", " 1 "), (" N ", " 1 "), ("$ 1", "$1"), ("# 1", "#1"), ("<unk>", "?")],
]

# Joins punctuation, quotes, brackets and web addresses.
_LM1B: list[Rule] = [
    *[("http : / / ", "http://"), ("https : / / ", "https://")],
    *_regex([(r" '(\w+)", r"'\1"), (r" (\w+) \. ", r" \1. "), (r" (\w+) \.$", r" \1.")]),
    *[(" ? ", "? ")],
    *_regex([(r" \?$", "?")]),
    *[(" ! ", "! ")],
    *_regex([(r" !$", "!")]),
    *[(" , ", ", "), (" : ", ": "), (" ; ", "; "), (" / ", "/")],
    *_regex(
        [
            (r"\" ([^\"]+) \"", r'"\1"'),
            (r"' ([^']+) '", r"'\1'"),
            (r"\( ([^\(\)]+) \)", r"(\1)"),
            (r"\[ ([^\[\]]+) \]", r"[\1]"),
        ]
    ),
    *[("$ ", "$"), ("\N{POUND SIGN} ", "\N{POUND SIGN}")],
]

_STRAIGHT_QUOTES = str.maketrans(
    {"\N{LEFT DOUBLE QUOTATION MARK}": '"', "\N{RIGHT DOUBLE QUOTATION MARK}": '"'}
)


def _apply(rules: Sequence[Rule], text: str) -> str:
    for old, new in rules:
        text = text.replace(old, new) if isinstance(old, str) else old.sub(new, text)
    return text


def lambada(text: str) -> str:
    """Straight double quotes, no outer blanks, and one newline before the passage."""
    return "\n" + text.translate(_STRAIGHT_QUOTES).strip()


DETOKENIZERS: dict[str, Callable[[str], str]] = {
    "wikitext": partial(_apply, _WIKITEXT),
    "ptb": partial(_apply, _PTB),
    "lm1b": partial(_apply, _LM1B),
    "lambada": lambada,
    "scientific_papers": partial(_apply, [*_WIKITEXT, *_LM1B]),
}
