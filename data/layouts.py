"""The contents of a tokenizer.json: what decides ids and texts, and what acts at their edges."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

Layout = dict[str, Any]

# All that is known to change neither the ids of a text nor the text of ids: our encoder is without
# truncation, padding and post-processor, which adds special tokens around a text.
_HARMLESS = {"version", "truncation", "padding", "post_processor"}
# Normalizers that see one character at a time, or a group of marks that a space never belongs to.
_LOCAL = {"ByteLevel": {"NFC", "NFD"}, "BertPreTokenizer": {"NFC", "NFD", "BertNormalizer"}}


def digest(layout: Layout, special: list[int | None]) -> str:
    """SHA-256 of everything of a tokenizer that is not known to be harmless, with its special
    ids. Not of the order of keys, of paths, or of how the file was written."""
    kept = {key: value for key, value in layout.items() if key not in _HARMLESS}
    kept["added_tokens"] = sorted(kept["added_tokens"], key=lambda token: token["id"])
    kept["pre_tokenizer"] = _each(kept["pre_tokenizer"], _without_offsets)
    kept["decoder"] = _each(kept["decoder"], _without_unread)
    text = json.dumps([kept, special], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _each(part: Any, change: Callable[[Layout], Layout]) -> Any:
    """A part of a layout with every node in it changed."""
    if isinstance(part, dict):
        return change({key: _each(value, change) for key, value in part.items()})
    return [_each(child, change) for child in part] if isinstance(part, list) else part


def _without_offsets(node: Layout) -> Layout:
    """`trim_offsets` moves where a token is said to lie in its text, which nobody asks."""
    return {key: value for key, value in node.items() if key != "trim_offsets"}


def _without_unread(node: Layout) -> Layout:
    """The decoder ByteLevel reads none of the fields that it shares with the pre-tokenizer."""
    return {"type": "ByteLevel"} if node.get("type") == "ByteLevel" else node


def is_cuttable(layout: Layout) -> bool:
    """Whether a text can be encoded in parts that end before a single space between two words: no
    pre-token and nothing that the normalizer replaces reaches across it."""
    pre = layout["pre_tokenizer"] or {}
    plain = all(token["special"] for token in layout["added_tokens"])
    regex = pre.get("use_regex", True) and not pre.get("add_prefix_space", False)
    local = _LOCAL.get(pre.get("type", ""))
    return local is not None and plain and regex and _types(layout["normalizer"]) <= local


def _types(normalizer: Any) -> set[str]:
    if normalizer is None:
        return set()
    if normalizer["type"] == "Sequence":
        return {name for child in normalizer["normalizers"] for name in _types(child)}
    return {normalizer["type"]}


def without_edges(layout: Layout) -> Layout:
    """The tokenizer that puts nothing in front of a text and takes nothing from its ends."""
    return layout | {
        "normalizer": _inner_normalizer(layout["normalizer"]),
        "pre_tokenizer": _inner_pre_tokenizer(layout["pre_tokenizer"]),
    }


def _inner_normalizer(part: Any) -> Any:
    if part is None or part["type"] in ("Prepend", "Strip"):
        return None
    if part["type"] != "Sequence":
        return part
    inner = [_inner_normalizer(child) for child in part["normalizers"]]
    return part | {"normalizers": [child for child in inner if child is not None]}


def _inner_pre_tokenizer(part: Any) -> Any:
    if part is None:
        return None
    changed = dict(part)
    if "add_prefix_space" in part:
        changed["add_prefix_space"] = False
    if "prepend_scheme" in part:
        changed["prepend_scheme"] = "never"
    if "pretokenizers" in part:
        changed["pretokenizers"] = [_inner_pre_tokenizer(child) for child in part["pretokenizers"]]
    return changed


def swapped(layout: Layout, one: int, other: int) -> Layout:
    """The same tokenizer with two ids exchanged."""
    places = {one: other, other: one}
    model = dict(layout["model"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {token: places.get(i, i) for token, i in model["vocab"].items()}
    else:
        pieces = list(model["vocab"])
        if max(places) < len(pieces):
            pieces[one], pieces[other] = pieces[other], pieces[one]
            model["unk_id"] = places.get(model["unk_id"], model["unk_id"])
        model["vocab"] = pieces
    added = [
        token | {"id": places.get(token["id"], token["id"])} for token in layout["added_tokens"]
    ]
    added.sort(key=lambda token: token["id"])
    return layout | {"model": model, "added_tokens": added}
