"""Which characters a tokenizer of the tokenizers library has no token for."""

from typing import Any

from tokenizers import Tokenizer as Backend


class Coverage:
    """Asks the tokenizer about each character once."""

    def __init__(self, backend: Backend, layout: dict[str, Any]) -> None:
        self._backend = backend
        self._is_complete = _is_byte_level(layout) and layout["normalizer"] is None
        # The models of other kinds refuse a character that they do not know, or have an unknown
        # token for it.
        self._model_loses = layout["model"]["type"] == "BPE" and not _is_byte_level(layout)
        self._known: dict[str, bool] = {}

    def lost(self, text: str) -> dict[str, int]:
        """The characters that leave no token behind, with how often each occurs in `text`."""
        if self._is_complete:
            return {}
        return {sign: text.count(sign) for sign in sorted(set(text)) if self._vanishes(sign)}

    def _vanishes(self, character: str) -> bool:
        if character not in self._known:
            ask = self._blank_vanishes if character.isspace() else self._letter_vanishes
            self._known[character] = ask(character)
        return self._known[character]

    def _letter_vanishes(self, letter: str) -> bool:
        if self._model_loses:
            return not self._backend.encode(letter, add_special_tokens=False).ids
        normalizer = self._backend.normalizer
        return normalizer is not None and not normalizer.normalize_str(letter)

    def _blank_vanishes(self, blank: str) -> bool:
        """A blank that ends a word is said by the border between two tokens."""
        normalizer, splitter = self._backend.normalizer, self._backend.pre_tokenizer
        pair = f"a{blank}a"
        normalized = pair if normalizer is None else normalizer.normalize_str(pair)
        if splitter is not None and len(splitter.pre_tokenize_str(normalized)) > 1:
            return False
        if not self._model_loses:
            return normalized == "aa"
        without, with_it = self._backend.encode_batch(["aa", pair], add_special_tokens=False)
        return without.ids == with_it.ids


def unknown_id(layout: dict[str, Any]) -> int | None:
    """The id that the model gives to what it does not know; None if it has none."""
    model = layout["model"]
    if model["type"] == "Unigram":
        return model["unk_id"]
    token = model.get("unk_token")
    added = {entry["content"]: entry["id"] for entry in layout["added_tokens"]}
    return model["vocab"].get(token, added.get(token))


def _is_byte_level(layout: dict[str, Any]) -> bool:
    """Whether every text is spelled by bytes that are all in the vocabulary."""
    pre, model = layout["pre_tokenizer"] or {}, layout["model"]
    steps = pre.get("pretokenizers", [pre])
    if any(step.get("type") == "ByteLevel" for step in steps):
        from tokenizers.pre_tokenizers import ByteLevel

        return all(letter in model["vocab"] for letter in ByteLevel.alphabet())
    return bool(model.get("byte_fallback")) and all(
        f"<0x{byte:02X}>" in model["vocab"] for byte in range(256)
    )
