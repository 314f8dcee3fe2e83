"""Text that tokens do not say is counted, and then there are no bits per byte."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from data.module import TokenDataModule
from data.tokenizers import make_tokenizer

Make = Callable[..., TokenDataModule]
TEXT = "ACGTacgt\n" * 300


def saved(folder: Path, backend: Tokenizer, **special: str) -> str:
    PreTrainedTokenizerFast(tokenizer_object=backend, **special).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def letters(tmp_path: Path) -> str:
    """A BPE of four letters without an unknown token: all others vanish."""
    backend = Tokenizer(models.BPE({**{c: i for i, c in enumerate("ACGT")}, "<s>": 4}, []))
    return saved(tmp_path / "letters", backend, bos_token="<s>", eos_token="<s>")


@pytest.fixture
def words(tmp_path: Path) -> str:
    """Words between blanks, with an unknown one, and a normalizer that removes control marks."""
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "<s>": 2, "<unk>": 3}, "<unk>"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return saved(tmp_path / "words", backend, bos_token="<s>", eos_token="<s>", unk_token="<unk>")


def test_characters_without_a_token(letters: str, words: str, shared: Path) -> None:
    assert make_tokenizer(letters).lost("AaC\na") == {"a": 2, "\n": 1}
    # Blanks are said by the border between words, unknown words by their token.
    assert make_tokenizer(words).lost("a b\nzebra\0\t\ufffd") == {"\0": 1, "\ufffd": 1}
    gpt2 = make_tokenizer(str(shared / "tokenizers" / "gpt2"))
    assert gpt2.lost("a\0\ufffd\u0301 日本") == {} and gpt2.unknown is None
    assert make_tokenizer("bytes").lost("a\0") == {}


def test_half_the_text_unscored_is_no_half_bits_per_byte(
    make: Make, tmp_path: Path, letters: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "dna.txt"
    file.write_text(TEXT)
    data = make("text", path=str(file), tokenizer_name_or_path=letters)
    assert data.valid_bytes_per_token is None
    assert "150 characters (56 % of the bytes) have no token" in data.valid_unsaid[0]
    assert data.valid_unsaid[0] in capsys.readouterr().err
    file.write_text("ACGT" * 600)
    whole = make("text", path=str(file), tokenizer_name_or_path=letters, insert_eos=False)
    assert whole.valid_bytes_per_token == 1.0 and whole.valid_unsaid == []


def test_unknown_tokens_are_counted(make: Make, tmp_path: Path, words: str) -> None:
    file = tmp_path / "words.txt"
    file.write_text("a b zebra\n" * 400)
    data = make("text", path=str(file), tokenizer_name_or_path=words)
    assert data.valid_unsaid == ["40 tokens (33 %) are the unknown token"]
    assert data.valid_bytes_per_token is None


def test_bytes_per_token_count_the_inserted_ends(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "nine char"}\n' * 200)
    data = make("text", path=str(file), valid_fraction=0.5)
    assert data.valid_bytes_per_token == pytest.approx(9 / 10)
