"""Tokenizers: round trips, the place of the mask, digests, and every refusal."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from data.encode import _PIECE_CHARACTERS, pieces
from data.pretrained import PretrainedTokenizer, load_pretrained
from data.tokenizers import MASK_MARK, Tokenizer, make_tokenizer

TEXT = "Hello world, it's 1984.\n\n  Größe & 日本 🙂 tab\there  "


def specials(tokenizer: Tokenizer) -> tuple[int, int, int, int]:
    return tokenizer.vocab_size, tokenizer.bos, tokenizer.eos, tokenizer.pad


def test_bytes_round_trip_of_any_text() -> None:
    tokenizer = make_tokenizer("bytes")
    assert specials(tokenizer) == (257, 256, 256, 256)
    texts = [TEXT, "", "\x00\x7f"]
    encoded = tokenizer.encode_batch(texts)
    assert [tokenizer.decode(ids) for ids in encoded] == texts
    assert encoded[0].tolist() == list(TEXT.encode())


def test_bytes_decode_shows_mask_hides_special_and_never_raises() -> None:
    tokenizer = make_tokenizer("bytes")
    assert tokenizer.decode([256, 65, 257, 66, 256]) == f"A{MASK_MARK}B"
    assert tokenizer.decode([65, 256], special=True) == "A<|endoftext|>"
    assert tokenizer.decode(np.array([0xE6, 65])) == "\ufffdA"
    assert tokenizer.decode([-1, 9999]) == "\ufffd\ufffd"


def test_text8_is_27_characters_and_an_end() -> None:
    tokenizer = make_tokenizer("text8")
    assert tokenizer.vocab_size == 28
    ids = tokenizer.encode_batch(["the quick fox"])[0]
    assert ids.max() < 27 and tokenizer.decode(ids) == "the quick fox"
    with pytest.raises(ValueError, match="no id for the character 'Q'"):
        tokenizer.encode_batch(["the Quick"])


def test_symbols_are_integers() -> None:
    tokenizer = make_tokenizer("symbols:4")
    assert (tokenizer.vocab_size, tokenizer.bos) == (5, 4)
    assert tokenizer.encode_batch(["0 3 2", ""])[0].tolist() == [0, 3, 2]
    assert tokenizer.decode([4, 1, 5, 2]) == f"1 {MASK_MARK} 2"
    for text in ("0 4", "0 -1", "0 x"):
        with pytest.raises(ValueError, match="symbols:4"):
            tokenizer.encode_batch([text])


def test_gpt2_keeps_its_ids(shared: Path) -> None:
    tokenizer = make_tokenizer(str(shared / "tokenizers" / "gpt2"))
    assert specials(tokenizer) == (50257, 50256, 50256, 50256)
    assert tokenizer.encode_batch(["Hello world"])[0].tolist() == [15496, 995]
    ids = tokenizer.encode_batch([TEXT])[0]
    assert tokenizer.decode(ids) == TEXT
    assert tokenizer.decode([50256, 15496, 50257]) == f"Hello{MASK_MARK}"
    assert tokenizer.decode([15496, 50256], special=True) == "Hello<|endoftext|>"


def test_bert_swaps_its_mask_with_its_last_id(shared: Path) -> None:
    tokenizer = make_tokenizer(str(shared / "tokenizers" / "bert-base-uncased"))
    assert specials(tokenizer) == (30521, 101, 102, 0)
    assert tokenizer.encode_batch(["Hello world"])[0].tolist() == [7592, 2088]
    assert tokenizer.decode([101, 7592, 30521, 2088, 102, 0]) == f"hello {MASK_MARK} world"
    # The word piece that was last, a full-width question mark inside a word, is 103 here.
    pieces = (shared / "tokenizers" / "bert-base-uncased" / "vocab.txt").read_text().split("\n")
    last = pieces[30521].removeprefix("##")
    assert last in tokenizer.decode([7592, 103])


def test_text_with_the_last_id_gets_the_masks_old_place() -> None:
    words = WordLevel({"[UNK]": 0, "[MASK]": 1, "a": 2, "b": 3}, unk_token="[UNK]")
    backend = Backend(words)
    backend.pre_tokenizer = Whitespace()
    special = {"bos": 0, "eos": 3, "cls": None, "sep": None, "pad": None, "mask": 1}
    tokenizer = PretrainedTokenizer("x", backend, special)
    assert specials(tokenizer) == (3, 0, 1, 1)
    assert tokenizer.encode_batch(["a b", "b"])[0].tolist() == [2, 1]
    assert tokenizer.decode([2, 1, 3], special=True) == f"a b {MASK_MARK}"


def test_text_that_spells_a_special_token_stays_text(shared: Path) -> None:
    gpt2 = make_tokenizer(str(shared / "tokenizers" / "gpt2"))
    ids = gpt2.encode_batch(["a<|endoftext|>b"])[0]
    assert 50256 not in ids and gpt2.decode(ids) == "a<|endoftext|>b"
    bert = make_tokenizer(str(shared / "tokenizers" / "bert-base-uncased"))
    for tokenizer in (bert, pickle.loads(pickle.dumps(bert))):
        ids = tokenizer.encode_batch(["a [MASK] b [SEP]"])[0]
        assert not {103, 30521, 101, 102} & set(ids.tolist())


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased"])
def test_a_long_document_is_cut_where_ids_do_not_change(
    shared: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    tokenizer = load_pretrained(str(shared / "tokenizers" / name))
    text = (shared / "data" / "tinyshakespeare" / "input.txt").read_text()[: 3 * _PIECE_CHARACTERS]
    text = text.replace(" the ", "  the\t 's ")
    parts = [piece.text for piece in pieces([text], tokenizer)]
    assert len(parts) > 2 and "".join(parts) == text
    whole = tokenizer.encode_batch([text])[0].tolist()
    assert np.concatenate(tokenizer.encode_batch(parts)).tolist() == whole
    assert capfd.readouterr() == ("", "")


def test_digest_follows_what_ids_depend_on(shared: Path, tmp_path: Path) -> None:
    original = shared / "tokenizers" / "gpt2"
    same, other = tmp_path / "same", tmp_path / "other"
    for folder in (same, other):
        shutil.copytree(original, folder, copy_function=shutil.copyfile)
    other.chmod(0o755)
    lines = (other / "merges.txt").read_text().split("\n")
    lines[5], lines[6] = lines[6], lines[5]
    (other / "merges.txt").unlink()
    (other / "merges.txt").write_text("\n".join(lines))
    digests = [make_tokenizer(str(folder)).digest for folder in (original, same, other)]
    assert digests[0] == digests[1] != digests[2]
    assert len({make_tokenizer(name).digest for name in ("bytes", "text8", "symbols:27")}) == 3


def test_a_mask_that_is_last_already_stays(shared: Path) -> None:
    backend = load_pretrained(str(shared / "tokenizers" / "gpt2"))._backend
    special = dict.fromkeys(("bos", "cls", "sep", "pad"), None)
    last = PretrainedTokenizer("x", backend, {**special, "eos": 5, "mask": 50256})
    assert (last.vocab_size, last.bos, last.eos, last.pad) == (50256, 5, 5, 5)
    with pytest.raises(ValueError, match="no token to start or end a text"):
        PretrainedTokenizer("x", backend, {**special, "eos": None, "mask": None})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-such-tokenizer", "HF_HUB_OFFLINE"),
        ("./missing", "no such folder"),
        ("~/missing-tokenizer", "no such folder"),
        ("symbols:", "an integer n of 2 or more"),
        ("symbols:1", "an integer n of 2 or more"),
    ],
)
def test_unknown_names_end_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"data\.tokenizer_name_or_path=") as caught:
        make_tokenizer(name)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_an_unreachable_hub_is_one_line_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")

    def cached(name: str, **options: bool) -> None:
        # The client's own retries take most of a minute and must not be reached.
        assert options == {"local_files_only": True}, "went to the Hub"
        raise OSError("not there")

    monkeypatch.setattr("data.tokenizer_files.from_library", cached)
    with pytest.raises(ValueError, match="Connection refused") as caught:
        make_tokenizer("some/name with a blank")
    assert "\n" not in str(caught.value)


def test_an_empty_tokenizer_is_refused(shared: Path, tmp_path: Path) -> None:
    shutil.copyfile(
        shared / "tokenizers" / "gpt2" / "tokenizer_config.json", tmp_path / "tokenizer_config.json"
    )
    with pytest.raises(ValueError, match="vocabulary is empty"):
        make_tokenizer(str(tmp_path))
