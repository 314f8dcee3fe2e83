"""A long document is encoded in pieces only where that gives the ids of the whole."""

import json
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from data import layouts
from data.encode import pieces
from data.pretrained import PretrainedTokenizer
from tests.data import kinds

NORMALIZERS = {
    "none": lambda: None,
    "NFC": normalizers.NFC,
    "NFD": normalizers.NFD,
    "NFKC": normalizers.NFKC,
    "NFKD": normalizers.NFKD,
    "Lowercase": normalizers.Lowercase,
    "StripAccents": normalizers.StripAccents,
    "BertNormalizer": normalizers.BertNormalizer,
    "Strip": normalizers.Strip,
    "Prepend": lambda: normalizers.Prepend("a"),
    "Replace": lambda: normalizers.Replace("a b", "c"),
    "Nmt": normalizers.Nmt,
    "NFC and Strip": lambda: normalizers.Sequence([normalizers.NFC(), normalizers.Strip()]),
    "NFD and Bert": lambda: normalizers.Sequence([normalizers.NFD(), normalizers.BertNormalizer()]),
}
PRE_TOKENIZERS = {
    "ByteLevel": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "ByteLevel with a prefix": lambda: pre_tokenizers.ByteLevel(add_prefix_space=True),
    "ByteLevel without regex": lambda: pre_tokenizers.ByteLevel(False, use_regex=False),
    "Bert": pre_tokenizers.BertPreTokenizer,
    "Metaspace": pre_tokenizers.Metaspace,
    "Whitespace": pre_tokenizers.Whitespace,
    "Sequence": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}
CUT = {
    ("none", "ByteLevel"),
    ("NFC", "ByteLevel"),
    ("NFD", "ByteLevel"),
    ("none", "Bert"),
    ("NFC", "Bert"),
    ("NFD", "Bert"),
    ("BertNormalizer", "Bert"),
    ("NFD and Bert", "Bert"),
}
# Letters, spaces of many kinds, marks, control characters, compatibility forms, parts of Hangul.
ODD = "\u037a\u00b4à\u0301\u0327\u00a8\u0344\x00\x1c\x85\u200d\u200b\ufeff\u3000\xa0\u2028"
ODD += "ﬁßİς가한日🙂"
TEXTS = st.text(alphabet=st.sampled_from([*"ab'st1.", *(" " * 12), *"\t\n", *ODD]), max_size=40)


@lru_cache
def built(normalizer: str, pre_tokenizer: str) -> PretrainedTokenizer:
    made = kinds.wordpiece() if pre_tokenizer == "Bert" else kinds.byte_level()
    made.pre_tokenizer = PRE_TOKENIZERS[pre_tokenizer]()
    if (chosen := NORMALIZERS[normalizer]()) is not None:
        made.normalizer = chosen
    return kinds.tokenizer(made)


@pytest.mark.parametrize("pre_tokenizer", PRE_TOKENIZERS)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_what_is_cut(normalizer: str, pre_tokenizer: str) -> None:
    cuttable = built(normalizer, pre_tokenizer)._cuttable
    assert cuttable is ((normalizer, pre_tokenizer) in CUT)


@pytest.mark.parametrize(("normalizer", "pre_tokenizer"), sorted(CUT))
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_pieces_have_the_ids_of_the_whole(normalizer: str, pre_tokenizer: str, text: str) -> None:
    tokenizer = built(normalizer, pre_tokenizer)
    whole = tokenizer.encode_batch([text])[0].tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data.encode._PIECE_CHARACTERS", 1)
        parts = [piece.text for piece in pieces([text], tokenizer)]
    assert "".join(parts) == text
    assert np.concatenate(tokenizer.encode_batch(parts)).tolist() == whole


def test_an_added_word_may_reach_across_a_cut() -> None:
    made: Backend = kinds.byte_level()
    made.add_tokens([AddedToken("a b")])
    assert not layouts.is_cuttable(json.loads(made.to_str()))
