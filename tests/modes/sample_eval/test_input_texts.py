"""Files of texts to correct: their kinds, their tokens, and every refusal."""

import json
from pathlib import Path

import pytest

from data.tokenizers import make_tokenizer
from modes.sample_eval.input_texts import read_file, read_texts

BOS, LENGTH = 256, 16  # of the tokenizer `bytes`, of the model


def test_read_txt_and_jsonl_skip_a_byte_order_mark(tmp_path: Path) -> None:
    lines, rows = tmp_path / "a.txt", tmp_path / "a.jsonl"
    lines.write_bytes(b"\xef\xbb\xbfab\r\ncd\n")
    rows.write_bytes(b'\xef\xbb\xbf{"text": "ab"}\n')
    assert [one.text for one in read_file(lines)] == ["ab", "cd"]
    assert [one.text for one in read_file(rows)] == ["ab"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json"])
def test_read_texts_refuses_bytes_that_are_no_text(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes('ab\n{"text": "Größe"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^sampling\.texts=.*{name}") as caught:
        read_texts(file, make_tokenizer("bytes"), [], 99)
    assert "\n" not in str(caught.value)
    file.write_bytes(b"[" * 200_000)
    if name != "a.txt":
        with pytest.raises(ValueError, match="not JSON"):
            read_texts(file, make_tokenizer("bytes"), [], 99)


BAD_FILES = {
    "empty.txt": ("\n\n", "empty.txt: there is no text in it"),
    "long.txt": ("short\n" + "x" * 16, "long.txt line 2: 17 tokens with BOS, at most model.length"),
    "odd.jsonl": ('{"text": "a"}\n{"words": 1}', "odd.jsonl line 2: no text under the key `text`"),
    "cut.jsonl": ('{"text": "a"}\n\n{"te', "cut.jsonl line 3: not JSON"),
    "empty.jsonl": ('{"text": ""}', "empty.jsonl line 1: there is no token in it"),
    "cut.json": ('{"samples": [', "cut.json: not JSON"),
    "other.json": ("[1, 2]", "other.json: not a file of samples"),
    "row.json": ('{"samples": [3]}', "row.json sample 1: no text under the key `text`"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_read_texts_refuses_files_without_texts_that_fit(name: str, tmp_path: Path) -> None:
    content, reason = BAD_FILES[name]
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ValueError, match=r"^sampling\.texts=") as caught:
        read_texts(file, make_tokenizer("bytes"), [BOS], LENGTH)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_read_texts_takes_tokens_of_the_same_tokenizer_only(tmp_path: Path) -> None:
    tokenizer, file = make_tokenizer("bytes"), tmp_path / "samples.json"
    sample = {"text": "ab", "tokens": [BOS, 99, 200]}
    rows = []
    for digest in (tokenizer.digest, "another", None):
        file.write_text(json.dumps({"tokenizer": digest, "samples": [sample]}))
        rows += read_texts(file, tokenizer, [BOS], LENGTH)
    assert rows == [[BOS, 99, 200], [BOS, 97, 98], [BOS, 97, 98]]
    assert read_texts(file, tokenizer, [], LENGTH) == [[97, 98]]
    sample["tokens"] = [BOS, 300]
    file.write_text(json.dumps({"tokenizer": tokenizer.digest, "samples": [sample]}))
    with pytest.raises(ValueError, match="sample 1: its tokens are not ids from 0 to 257"):
        read_texts(file, tokenizer, [BOS], LENGTH)
