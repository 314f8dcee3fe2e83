"""The report of how a token store was made, and of what its tokens do not say of the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Losses:
    """Counts of what a tokenizer, or UTF-8, has no place for."""

    invalid_bytes: int = 0  # or half surrogates: U+FFFD stands for each
    null_characters: int = 0
    lost_characters: int = 0  # without a token
    lost_bytes: int = 0  # of those characters
    unknown_tokens: int = 0

    def add(self, other: "Losses") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def unsaid(meta: Mapping[str, Any]) -> list[str]:
    """A phrase for each kind of text that the tokens of a store do not say; empty if they say all
    of it."""
    losses, phrases = Losses(**meta.get("losses", {})), []
    if losses.invalid_bytes:
        phrases.append(f"{losses.invalid_bytes:,} bytes that are not UTF-8 became U+FFFD")
    if losses.lost_characters:
        share = _share(losses.lost_bytes, meta["text_bytes"])
        phrases.append(
            f"{losses.lost_characters:,} characters ({share} of the bytes) have no token"
        )
    if losses.unknown_tokens:
        share = _share(losses.unknown_tokens, meta["text_tokens"])
        phrases.append(f"{losses.unknown_tokens:,} tokens ({share}) are the unknown token")
    return phrases


def odd(meta: Mapping[str, Any]) -> list[str]:
    """Phrases for text that the tokens say, but that is seldom meant."""
    count = meta.get("losses", {}).get("null_characters", 0)
    return [f"{count:,} NUL characters (UTF-16 without its mark?)"] if count else []


def built_line(split: str, meta: Mapping[str, Any], files: int | None, out: Sequence[str]) -> str:
    """One line on a store that was just built."""
    documents, empty = meta["documents"], meta.get("empty_documents", 0)
    counts = [_many(files, "file")] if files is not None else []
    counts.append(_many(documents, "document"))
    counts.append(f"{meta['text_bytes']:,} bytes, {meta['tokens']:,} tokens")
    lost = [*([f"{empty:,} documents without text"] if empty else []), *unsaid(meta), *odd(meta)]
    left = [f"left out: {', '.join(out)}"] if out else []
    return "; ".join([f"tokenized {split}: {', '.join(counts)}", *left, *lost])


def opened_line(split: str, meta: Mapping[str, Any], out: Sequence[str]) -> str | None:
    """One line on a store that was there already; None where nothing of the text was lost."""
    left = [f"left out: {', '.join(out)}"] if out else []
    lost = [*left, *unsaid(meta), *odd(meta)]
    return f"tokens of {split}: {'; '.join(lost)}" if lost else None


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _share(part: int, total: int) -> str:
    return f"{100 * part / total:.2g} %" if total else "all"
