"""A tokenizer of this suite as the files from which AutoTokenizer makes one with the same ids."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from data.extended import ExtendedTokenizer
from data.pretrained import PretrainedTokenizer
from data.tokenizers import END_MARK, MASK_MARK, ByteTokenizer, SymbolTokenizer, Tokenizer

Layout = dict[str, Any]
BYTES = bytes(range(256))
FLAGS = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)


def write_tokenizer(
    folder: Path,
    tokenizer: Tokenizer,
    states: int,
    length: int,
    has_mask: bool = True,
    swapped: bool = True,
) -> None:
    """tokenizer.json and tokenizer_config.json for a model of `states` tokens, of which it may have
    more than the tokenizer, with a mask behind them if it `has_mask`, for texts of at most `length`
    tokens. Without `swapped` the mask has the id of the tokenizer's own files. ValueError where the
    ids cannot be kept."""
    if isinstance(tokenizer, ExtendedTokenizer):
        tokenizer = tokenizer.inner
    layout = _layout(tokenizer, swapped)
    marks: dict[str, int] = {}
    stored, last = tokenizer.mask, tokenizer.vocab_size
    places: dict[int, int] = {} if swapped or stored is None else {last: stored, stored: last}
    known = last + (stored is not None)
    for number in range(known, states):
        _add(layout, f"[EXTRA_{number}]", number)
    if stored is not None:
        marks["mask_token"] = places.get(last, last)
    if has_mask and known <= states:
        marks["mask_token"], mark = states, MASK_MARK
        while mark in _ids(layout):
            mark = f"[{mark}]"
        _add(layout, mark, states)
    for kind in ("bos", "eos", "pad", "unk"):
        own = tokenizer.unknown if kind == "unk" else getattr(tokenizer, kind)
        if own is not None:
            marks[f"{kind}_token"] = places.get(own, own)
    names = {number: token for token, number in _ids(layout).items()}
    for number in marks.values():
        if number not in {token["id"] for token in layout["added_tokens"]}:
            _add(layout, names[number], number)
    layout["added_tokens"].sort(key=lambda token: token["id"])
    _check(layout, tokenizer)
    text = json.dumps(layout, ensure_ascii=False, indent=1)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    config = json.dumps(_config(layout, marks, length), ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")


def _layout(tokenizer: Tokenizer, swapped: bool) -> Layout:
    if isinstance(tokenizer, PretrainedTokenizer):
        return tokenizer.layout(swapped)
    if isinstance(tokenizer, ByteTokenizer):
        backend = _bytes() if tokenizer.alphabet == BYTES else _characters(tokenizer.alphabet)
    elif isinstance(tokenizer, SymbolTokenizer):
        backend = Backend(models.WordLevel({str(i): i for i in range(tokenizer.eos)}))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        raise ValueError(f"{tokenizer.name}: a tokenizer of an unknown kind")
    layout: Layout = json.loads(backend.to_str())
    _add(layout, END_MARK, tokenizer.eos)
    return layout


def _bytes() -> Backend:
    """One id for each byte, through the letters that stand for bytes in GPT-2's vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    backend = Backend(models.BPE({letters[byte]: byte for byte in BYTES}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _characters(alphabet: bytes) -> Backend:
    """One id for each character; one outside of the alphabet is refused."""
    backend = Backend(models.WordLevel({chr(byte): i for i, byte in enumerate(alphabet)}))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return backend


def _ids(layout: Layout) -> dict[str, int]:
    """All tokens of a layout."""
    vocabulary = layout["model"]["vocab"]
    if not isinstance(vocabulary, dict):  # pieces with their scores
        vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
    return vocabulary | {token["content"]: token["id"] for token in layout["added_tokens"]}


def _add(layout: Layout, token: str, number: int) -> None:
    """A special token of that id: among the added ones, and in the vocabulary, where the library
    looks for its number."""
    layout["added_tokens"].append({"id": number, "content": token, "special": True, **FLAGS})
    vocabulary = layout["model"]["vocab"]
    if isinstance(vocabulary, dict):
        vocabulary |= {other["content"]: other["id"] for other in layout["added_tokens"]}


def _check(layout: Layout, tokenizer: Tokenizer) -> None:
    """ValueError where the library gives a token another id than the layout."""
    wanted = _ids(layout)
    backend = Backend.from_str(json.dumps(layout))
    for token, number in wanted.items():
        if backend.token_to_id(token) != number:
            raise ValueError(
                f"data.tokenizer_name_or_path={tokenizer.name}: cannot be written as a "
                f"tokenizer.json: {token!r} would not keep its id {number}"
            )


def _config(layout: Layout, marks: dict[str, int], length: int) -> Layout:
    contents = {number: token for token, number in _ids(layout).items()}
    decoder = {
        str(token["id"]): {key: token[key] for key in ("content", "special", *FLAGS)}
        for token in layout["added_tokens"]
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "model_input_names": ["input_ids"],
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": decoder,
        **{name: contents[number] for name, number in sorted(marks.items())},
    }
