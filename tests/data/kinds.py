"""Tokenizers of every kind, made here: models, normalizers and pre-tokenizers in combination; the
entropy of a language."""

from collections.abc import Callable, Sequence

import numpy as np
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from data.markov import MarkovLanguage
from data.pretrained import PretrainedTokenizer

SPECIAL = {"bos": 0, "eos": 0, "cls": None, "sep": None, "pad": None, "mask": None}
LETTERS = "abcdef"
SIGNS = ".,é'0"
SPACE = "▁"


def entropy_rate(language: MarkovLanguage) -> float:
    """H(x_l | all before) = - sum_c pi(c) sum_x p(x|c) log p(x|c), in nats per symbol."""
    logs = np.log(np.where(language.transition > 0, language.transition, 1.0))
    return float(-(language.stationary[:, None] * language.transition * logs).sum())


def tokenizer(backend: Backend) -> PretrainedTokenizer:
    return PretrainedTokenizer("kind", backend, SPECIAL)


def numbered(pieces: Sequence[str]) -> dict[str, int]:
    return {piece: place for place, piece in enumerate(dict.fromkeys(("<s>", "<unk>", *pieces)))}


def byte_level(prefix: bool = False) -> Backend:
    """Merges that make a token of two spaces and of a space with a letter, as GPT-2 has."""
    merges = [("Ġ", "Ġ"), ("a", "b"), ("Ġ", "a"), ("c", "d"), ("Ġ", "cd"), ("ĠĠ", "ĠĠ")]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = numbered([*alphabet, *("".join(pair) for pair in merges)])
    made = Backend(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = decoders.ByteLevel()
    return made


def _spaced() -> Backend:
    """A BPE over letters and the sign for a space, bytes for what is neither."""
    merges = [(SPACE, "a"), ("a", "b"), (SPACE, "ab"), ("c", "d"), (SPACE, SPACE), ("d", SPACE)]
    pieces = [*(f"<0x{byte:02X}>" for byte in range(256)), *LETTERS, *SIGNS, SPACE]
    vocabulary = numbered([*pieces, *("".join(pair) for pair in merges)])
    return Backend(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))


def metaspace(scheme: str) -> Backend:
    made = _spaced()
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    made.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme=scheme)]
    )
    return made


def prepended() -> Backend:
    """As the first Llama: normalizers write the space, and there is no pre-tokenizer."""
    made = _spaced()
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    made.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return made


def stripped() -> Backend:
    made = byte_level()
    made.normalizer = normalizers.Strip()
    return made


def replaced() -> Backend:
    made = byte_level()
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("``", '"')])
    return made


def unigram() -> Backend:
    pieces = [SPACE, *LETTERS, *SIGNS, f"{SPACE}a", "ab", f"{SPACE}ab", f"{SPACE}{SPACE}"]
    scores = [(piece, -1.0 - place / 7) for place, piece in enumerate(["<s>", "<unk>", *pieces])]
    made = Backend(models.Unigram(scores, 1, False))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    made.decoder = decoders.Metaspace(prepend_scheme="always")
    return made


def stripped_unigram() -> Backend:
    made = unigram()
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])
    return made


def end_of_word() -> Backend:
    """As the first GPT: the last piece of a word says that a space follows."""
    pieces = [one + end for one in (*LETTERS, *SIGNS) for end in ("", "</w>")]
    vocabulary = numbered([*pieces, "ab", "ab</w>"])
    merges = [("a", "b"), ("a", "b</w>")]
    made = Backend(models.BPE(vocabulary, merges, unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.decoder = decoders.BPEDecoder()
    return made


def wordpiece() -> Backend:
    pieces = [*LETTERS, *SIGNS, "e", *(f"##{one}" for one in (*LETTERS, "0")), "ab", "##cd"]
    made = Backend(models.WordPiece(numbered(pieces), unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    return made


def wordlevel() -> Backend:
    made = Backend(models.WordLevel(numbered([*LETTERS, *SIGNS, "ab"]), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


# Whose ids say a text to the last space, and whose do not.
FAITHFUL: dict[str, Callable[[], Backend]] = {
    "byte-level": byte_level,
    "byte-level with a prefix": lambda: byte_level(prefix=True),
    "Metaspace always": lambda: metaspace("always"),
    "Metaspace first": lambda: metaspace("first"),
    "Metaspace never": lambda: metaspace("never"),
    "Prepend": prepended,
    "Strip": stripped,
    "NFKC and Replace": replaced,
    "Unigram": unigram,
    "Unigram and Strip": stripped_unigram,
}
WORDS: dict[str, Callable[[], Backend]] = {
    "end of word": end_of_word,
    "WordPiece": wordpiece,
    "WordLevel": wordlevel,
}
