"""Hugging Face tokenizers, brought to the convention "ordinary ids 0..N-1, the mask N"."""

import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Backend

from data.coverage import Coverage, unknown_id
from data.tokenizers import BUILT_IN, MASK_MARK, UNKNOWN_MARK, Ids, as_integers

# Between two words no pre-token of these kinds reaches across the space, so a long document can
# be cut there: same ids, all threads busy, and memory that does not grow with the document.
_CUTTABLE = {"ByteLevel", "BertPreTokenizer"}
_WORD_GAP = re.compile(r"(?<=\S) (?=\S)")
_PIECE_CHARACTERS = 1 << 17


class PretrainedTokenizer:
    """A fast Hugging Face tokenizer whose mask, where it has one, changed places with its last id.

    GPT-2 has no mask: N = 50257. BERT has [MASK] = 103 of 30522: N = 30521, and the word piece
    that was 30521 is 103 here.
    """

    def __init__(self, name: str, backend: Backend, special: dict[str, int | None]) -> None:
        vocabulary = backend.get_vocab(with_added_tokens=True)
        size = max(vocabulary.values()) + 1
        mask = special["mask"]
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
        self._prepare_backend()
        layout = json.loads(backend.to_str())
        self._cuttable = _is_cuttable(layout)
        unknown = unknown_id(layout)
        self.unknown = None if unknown is None else self._swapped(unknown)
        self._coverage = Coverage(backend, layout)
        ids = [self.vocab_size, self.bos, self.eos, self.pad, mask]
        self.digest = hashlib.sha256(_canonical([_ids_part(layout), ids]).encode()).hexdigest()

    def _prepare_backend(self) -> None:
        self._backend.no_padding()
        self._backend.no_truncation()
        # A corpus that spells "[MASK]" or "<|endoftext|>" must not produce those ids.
        self._backend.encode_special_tokens = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        # The library forgets this flag when it pickles.
        self._prepare_backend()

    def _swapped(self, i: int | None) -> int:
        assert i is not None
        if self._swap is None or i not in self._swap:
            return i
        return self._swap[1] if i == self._swap[0] else self._swap[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of each text, without special tokens, on all the library's threads."""
        pieces = [self._pieces(text) for text in texts]
        flat = [piece for group in pieces for piece in group]
        encodings = iter(self._backend.encode_batch_fast(flat, add_special_tokens=False))
        encoded = []
        for group in pieces:
            ids = [np.array(next(encodings).ids, dtype=np.uint32) for _ in group]
            encoded.append(self._to_ours(ids[0] if len(ids) == 1 else np.concatenate(ids)))
        return encoded

    def cut(self, text: str, start: int) -> int | None:
        """At a gap between two words, where that changes nothing."""
        gap = _WORD_GAP.search(text, start) if self._cuttable else None
        return None if gap is None else gap.start()

    def lost(self, text: str) -> dict[str, int]:
        """Characters outside the vocabulary, where no unknown token stands for them, and what the
        normalizer removes."""
        return self._coverage.lost(text)

    def _pieces(self, text: str) -> list[str]:
        if not self._cuttable or len(text) <= _PIECE_CHARACTERS:
            return [text]
        cuts = [0]
        while gap := _WORD_GAP.search(text, cuts[-1] + _PIECE_CHARACTERS):
            cuts.append(gap.start())
        ends = [*cuts[1:], len(text)]
        return [text[start:end] for start, end in zip(cuts, ends, strict=True)]

    def _to_ours(self, ids: Ids) -> Ids:
        if self._swap is None:
            return ids
        mask, last = self._swap
        # Plain text never yields the mask, so one direction of the swap is enough.
        ids[ids == last] = mask
        return ids

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

    ValueError in one line where there is none, it is slow (pure Python) or it is empty.
    """
    folder = Path(name_or_path).expanduser()
    if folder.exists() or name_or_path.startswith((".", "/", "~")):
        if not folder.is_dir():
            raise _refusal(name_or_path, "no such folder")
        loaded = _load(str(folder), name_or_path)
    else:
        loaded = _load_cached(name_or_path)
        if loaded is None:
            _reach_hub(name_or_path)
            loaded = _load(name_or_path, name_or_path)
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None:
        raise _refusal(name_or_path, "it has no fast (tokenizers library) version")
    if len(set(backend.get_vocab(with_added_tokens=False)) - set(loaded.all_special_tokens)) < 2:
        raise _refusal(name_or_path, "its vocabulary is empty, files are missing")
    kinds = ("bos", "eos", "cls", "sep", "pad", "mask")
    special = {kind: getattr(loaded, f"{kind}_token_id") for kind in kinds}
    return PretrainedTokenizer(name_or_path, backend, special)


def _load(source: str, name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source, use_fast=True)
    except (OSError, ValueError) as error:
        raise _refusal(name, _first_line(error)) from error


def _load_cached(name: str) -> Any | None:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name, use_fast=True, local_files_only=True)
    except (OSError, ValueError):
        return None


def _reach_hub(name: str) -> None:
    """ValueError when the Hub cannot be reached: its own client retries for most of a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise _refusal(name, "HF_HUB_OFFLINE is set")
    address = f"{constants.ENDPOINT}/api/models/{urllib.parse.quote(name)}"
    request = urllib.request.Request(address, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        # The Hub answered. What it makes of the name, a token included, is its client's matter.
        error.close()
    except (OSError, ValueError) as error:
        raise _refusal(name, _first_line(error)) from error


def _refusal(name: str, reason: str) -> ValueError:
    return ValueError(
        f"data.tokenizer_name_or_path={name!r} cannot be loaded ({reason}); allowed: {BUILT_IN}, "
        "a local folder, a Hugging Face Hub name"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _first(special: dict[str, int | None], *kinds: str) -> int | None:
    return next((special[kind] for kind in kinds if special[kind] is not None), None)


def _is_cuttable(layout: dict[str, Any]) -> bool:
    pre = layout["pre_tokenizer"] or {}
    plain = all(token["special"] for token in layout["added_tokens"])
    regex_or_bert = pre.get("use_regex", True) and not pre.get("add_prefix_space", False)
    return pre.get("type") in _CUTTABLE and regex_or_bert and plain


def _ids_part(layout: dict[str, Any]) -> list[Any]:
    """Everything of a tokenizer.json that ids depend on, free of fields that only move offsets."""
    model = layout["model"]
    pre = {k: v for k, v in (layout["pre_tokenizer"] or {}).items() if k != "trim_offsets"}
    added = sorted([token["id"], token["content"]] for token in layout["added_tokens"])
    return [model["type"], model["vocab"], model.get("merges"), layout["normalizer"], pre, added]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
