"""Hugging Face tokenizers, brought to the convention "ordinary ids 0..N-1, the mask N"."""

import json
import logging
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend

from data import layouts
from data.coverage import Coverage, unknown_id
from data.tokenizer_files import first_line, is_librarys, open_tokenizer, refusal
from data.tokenizers import MASK_MARK, UNKNOWN_MARK, Ids, as_integers

log = logging.getLogger(__name__)

_WORD_GAP = re.compile(r"(?<=\S) (?=\S)")
_LARGEST_ID = 1 << 24  # above it the output of a network has no room anywhere
_SHOWN = 20  # characters of a text in a message


class PretrainedTokenizer:
    """A fast Hugging Face tokenizer whose mask, where it has one, changed places with its last id.
    GPT-2 has no mask: N = 50257. BERT has [MASK] = 103 of 30522: N = 30521, and the word piece that
    was 30521 is 103 here."""

    extra = range(0)

    def __init__(self, name: str, backend: Backend, special: dict[str, int | None]) -> None:
        vocabulary = backend.get_vocab(with_added_tokens=True)
        size = max(vocabulary.values()) + 1
        if size > _LARGEST_ID:
            raise refusal(name, f"it has the id {size - 1}, at most {_LARGEST_ID - 1} are allowed")
        mask = special["mask"]
        self.mask = mask
        self._swap = None if mask is None or mask == size - 1 else (mask, size - 1)
        self.name = name
        self.vocab_size = size if mask is None else size - 1
        bos, eos = _first(special, "bos", "cls"), _first(special, "eos", "sep")
        if bos is None and eos is None:
            raise ValueError(
                f"data.tokenizer_name_or_path={name!r}: the tokenizer has no token to start or "
                "end a text (bos, eos, cls or sep)"
            )
        self.bos = self._swapped(eos if bos is None else bos)
        self.eos = self._swapped(bos if eos is None else eos)
        self.pad = self.eos if special["pad"] is None else self._swapped(special["pad"])
        self._backend = backend
        self._prepare(backend)
        layout = json.loads(backend.to_str())
        unknown = unknown_id(layout)
        self.unknown = None if unknown is None else self._swapped(unknown)
        self._coverage = Coverage(backend, layout)
        ids = [self.vocab_size, self.bos, self.eos, self.pad, mask]
        self.digest = layouts.digest(layout, ids)
        self._cuttable = layouts.is_cuttable(layout)
        if dropout := layout["model"].get("dropout"):
            log.warning(
                "data.tokenizer_name_or_path=%r: its dropout=%s is turned off; the same text must "
                "have the same tokens",
                name,
                dropout,
            )
            backend.model.dropout = None

    @staticmethod
    def _prepare(backend: Backend) -> None:
        backend.no_padding()
        backend.no_truncation()
        backend.post_processor = None
        # A corpus that spells "[MASK]" or "<|endoftext|>" must not produce those ids.
        backend.encode_special_tokens = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        # The library forgets flags when it pickles.
        self._prepare(self._backend)
        self.__dict__.pop("_inner", None)

    def _swapped(self, i: int | None) -> int:
        assert i is not None
        if self._swap is None or i not in self._swap:
            return i
        return self._swap[1] if i == self._swap[0] else self._swap[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, without special tokens, on all the library's threads."""
        encodings = self._encodings(self._backend, list(texts))
        return [self._to_ours(np.array(encoding.ids, dtype=np.uint32)) for encoding in encodings]

    def cut(self, text: str, start: int) -> int | None:
        """At a gap between two words, where that changes nothing."""
        gap = _WORD_GAP.search(text, start) if self._cuttable else None
        return None if gap is None else gap.start()

    def lost(self, text: str) -> dict[str, int]:
        """Characters outside the vocabulary, where no unknown token stands for them, and what the
        normalizer removes."""
        return self._coverage.lost(text)

    def encode_within(self, text: str) -> Ids:
        """Ids of a text that continues another one."""
        (encoding,) = self._encodings(self._inner, [text])
        return self._to_ours(np.array(encoding.ids, dtype=np.uint32))

    @cached_property
    def _inner(self) -> Backend:
        layout = layouts.without_edges(json.loads(self._backend.to_str()))
        try:
            inner = Backend.from_str(json.dumps(layout))
        except BaseException as error:
            if not is_librarys(error):
                raise
            raise refusal(self.name, first_line(error)) from error
        self._prepare(inner)
        return inner

    def _encodings(self, backend: Backend, texts: list[str]) -> list[Any]:
        try:
            return backend.encode_batch_fast(texts, add_special_tokens=False)
        except BaseException as error:
            if not is_librarys(error):
                raise
            odd = next((end for text in texts if (end := _odd_end(backend, text))), "")
            raise ValueError(
                f"data.tokenizer_name_or_path={self.name!r}: it has no tokens for {odd!r} "
                f"({first_line(error)})"
            ) from error

    def _to_ours(self, ids: Ids) -> Ids:
        if self._swap is None:
            return ids
        mask, last = self._swap
        # Plain text never yields the mask, so one direction of the swap is enough.
        ids[ids == last] = mask
        return ids

    def layout(self, swapped: bool = True) -> layouts.Layout:
        """The content of a tokenizer.json that encodes as this one does; without `swapped` the mask
        has the id that it has in the files of the tokenizer."""
        layout = json.loads(self._backend.to_str())
        return layouts.swapped(layout, *self._swap) if swapped and self._swap else layout

    @cached_property
    def _spelling(self) -> list[str]:
        vocabulary = self._backend.get_vocab(with_added_tokens=True)
        spelling = [UNKNOWN_MARK] * (self.vocab_size + 1)
        for token, i in vocabulary.items():
            spelling[self._swapped(i)] = token
        spelling[self.vocab_size] = MASK_MARK
        return spelling

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self._backend.get_added_tokens_decoder()
        special = {self._swapped(i) for i, token in added.items() if token.special}
        return frozenset(special | {self.bos, self.eos, self.pad}) - {self.vocab_size}

    def decode(self, ids: Iterable[int], special: bool = False) -> str:
        """Text of the ids, invalid UTF-8 replaced."""
        hidden = frozenset() if special else self._special_ids
        tokens = [
            self._spelling[i] if 0 <= i <= self.vocab_size else UNKNOWN_MARK
            for i in as_integers(ids)
            if i not in hidden
        ]
        decoder = self._backend.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(tokens)


def load_pretrained(name_or_path: str) -> PretrainedTokenizer:
    """The tokenizer in a folder, else of that name in the local Hub cache, else on the Hub.
    ValueError in one line where there is none, it is slow (pure Python) or it is empty."""
    loaded = open_tokenizer(name_or_path)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise refusal(name_or_path, "it has no fast (tokenizers library) version")
    if len(set(backend.get_vocab(with_added_tokens=False)) - set(loaded.all_special_tokens)) < 2:
        raise refusal(name_or_path, "its vocabulary is empty, files are missing")
    kinds = ("bos", "eos", "cls", "sep", "pad", "mask")
    special = {kind: getattr(loaded, f"{kind}_token_id") for kind in kinds}
    return PretrainedTokenizer(name_or_path, backend, special)


def _first(special: dict[str, int | None], *kinds: str) -> int | None:
    return next((special[kind] for kind in kinds if special[kind] is not None), None)


def _odd_end(backend: Backend, text: str) -> str:
    """The end of the shortest beginning of a text that cannot be encoded, "" where all of it can;
    where one beginning cannot, a longer one cannot either."""
    if _can_encode(backend, text):
        return ""
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _can_encode(backend, text[:middle]) else (low, middle)
    return text[max(0, high - _SHOWN) : high]


def _can_encode(backend: Backend, text: str) -> bool:
    try:
        backend.encode(text, add_special_tokens=False)
    except BaseException as error:
        if not is_librarys(error):
            raise
        return False
    return True
