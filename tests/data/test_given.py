"""Given text reads as it was given, wherever it stands, under every kind of tokenizer."""

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.given import encode_given, find_anchor
from data.pretrained import PretrainedTokenizer
from data.tokenizers import Tokenizer, make_tokenizer
from tests.data import kinds

PARTS = st.text(alphabet=kinds.LETTERS + kinds.SIGNS + "   ", min_size=1, max_size=8)
WORDS = st.lists(st.text(alphabet=kinds.LETTERS, min_size=1, max_size=4), min_size=1, max_size=3)
EVERY = {**kinds.FAITHFUL, **kinds.WORDS}


@lru_cache
def built(name: str) -> PretrainedTokenizer:
    return kinds.tokenizer(EVERY[name]())


def filled(parts: list[str], tokenizer: Tokenizer) -> tuple[str, str]:
    """A sample whose gaps hold a token of a letter, and what it should read."""
    gap = list(find_anchor(tokenizer))
    ids: list[int] = []
    for number, part in enumerate(parts):
        ids += encode_given(part, tokenizer, begins=number == 0) + gap
    return tokenizer.decode(ids), "".join(part + tokenizer.decode(gap) for part in parts)


@pytest.mark.parametrize("name", kinds.FAITHFUL)
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=3))
def test_every_character_stays(name: str, parts: list[str]) -> None:
    read, wanted = filled(parts, built(name))
    assert read == wanted


@pytest.mark.parametrize("name", kinds.WORDS)
@settings(max_examples=60, deadline=None)
@given(parts=st.lists(WORDS, min_size=1, max_size=3))
def test_words_stay_where_spaces_cannot(name: str, parts: list[list[str]]) -> None:
    tokenizer = built(name)
    given_words = [" ".join(words) for words in parts]
    read, wanted = filled(given_words, tokenizer)
    if name == "WordLevel":  # it has no part of a word: what is not whole is not known
        parts = [[word for word in words if word in (*kinds.LETTERS, "ab")] for words in parts]
        read, wanted = filled([" ".join(words) for words in parts if words], tokenizer)
    assert read.replace(" ", "") == wanted.replace(" ", "")


def encode(text: str, tokenizer: Tokenizer) -> list[int]:
    return encode_given(text, tokenizer, begins=False)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("WordPiece", "abcd", "xabcd"),  # glued, as it was given
        ("WordPiece", " abcd", "x abcd"),
        ("end of word", "ab", "xab"),
        ("end of word", "b ab", "xb ab"),
        ("Metaspace always", "ab", "xab"),
        ("Metaspace always", "  ab ", "x  ab "),
        ("Prepend", "ab", "xab"),
        ("Strip", " ab ", "x ab "),
        ("byte-level with a prefix", "ab", "xab"),
        ("Unigram", "ab", "xab"),
    ],
)
def test_what_follows_a_gap_is_not_set_apart(name: str, text: str, read: str) -> None:
    tokenizer = built(name)
    gap = list(find_anchor(tokenizer))
    letter = tokenizer.decode(gap)
    shown = tokenizer.decode([*gap, *encode(text, tokenizer), *gap])
    assert shown.startswith(read.replace("x", letter))


@pytest.mark.parametrize("name", kinds.FAITHFUL)
@pytest.mark.parametrize("text", ["ab", " ab", "  ab", "ab ", " "])
def test_the_beginning_of_a_text_stays(name: str, text: str) -> None:
    tokenizer = built(name)
    assert tokenizer.decode(encode_given(text, tokenizer, begins=True)) == text


def test_a_text_that_needs_no_care_has_the_ids_of_a_document() -> None:
    for name in ("byte-level", "Metaspace always", "Metaspace first", "Prepend", "Unigram"):
        tokenizer = built(name)
        plain = tokenizer.encode_batch(["ab cd a"])[0].tolist()
        assert encode_given("ab cd a", tokenizer, begins=True) == plain


def test_case_and_accents_go_before_anything_else() -> None:
    tokenizer = built("WordPiece")
    assert tokenizer.decode(encode_given("AB é", tokenizer, begins=True)) == "ab e"
    gap = list(find_anchor(tokenizer))
    assert tokenizer.decode([*gap, *encode(" AB", tokenizer)]) == "a ab"


@pytest.mark.parametrize("begins", [True, False])
def test_a_character_that_would_vanish_is_refused(begins: bool) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models

    backend = Backend(models.BPE(kinds.numbered("ACGT"), []))
    backend.decoder = decoders.Fuse()
    tokenizer = kinds.tokenizer(backend)
    assert tokenizer.decode(encode_given("GATTA", tokenizer, begins)) == "GATTA"
    with pytest.raises(ValueError, match="no token of 'kind' stands for 'a'"):
        encode_given("GATTaCA", tokenizer, begins)


@pytest.mark.parametrize(
    ("name", "text"), [("bytes", " é\n"), ("text8", " a b "), ("symbols:4", "1 2")]
)
@pytest.mark.parametrize("begins", [True, False])
def test_built_in_tokenizers(name: str, text: str, begins: bool) -> None:
    tokenizer = make_tokenizer(name)
    expected = tokenizer.encode_batch([text])[0].tolist()
    assert encode_given(text, tokenizer, begins) == expected
    assert encode_given("", tokenizer, begins) == []
