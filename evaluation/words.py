"""Text from files that others wrote, as a terminal, a page and a drawing can show it."""

import re

# Control characters, line and paragraph separators, what turns the direction of writing, halves of
# surrogate pairs and what is no character. Several of them end the drawing library's process.
UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufdd0-\ufdef\ufffe\uffff]"
)
SURROGATE = re.compile("[\ud800-\udfff]")
LONGEST = 60  # characters of a value in a message


def printable(words: object) -> str:
    """`words` with the pictures that Unicode has of control characters in their place, and a
    replacement character for all else that cannot be shown; tabs and ends of lines stay."""
    return UNSHOWN.sub(_picture, str(words))


def one_line(words: object) -> str:
    """`words` as `printable` has them, without tabs and ends of lines."""
    return " ".join(printable(words).split())


def brief(value: object) -> str:
    """The beginning of a value as Python writes it."""
    if isinstance(value, int) and abs(value) >= 10**LONGEST:
        return "a whole number of more than 60 digits"
    text = repr(value[: LONGEST + 1] if isinstance(value, str) else value)
    return one_line(text if len(text) <= LONGEST else f"{text[:LONGEST]}...")


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 32:
        return chr(0x2400 + code)
    return "\u2421" if code == 127 else "\ufffd"
