"""Files of texts and gapped texts as they were typed, under tokenizers of several kinds."""

from pathlib import Path

import pytest

from data.infill import read_tasks
from data.tokenizers import make_tokenizer
from modes.sample_eval.input_texts import read_jsonl, read_texts, read_txt
from tests.data import kinds

NONE = {"prompt": None, "infill": None, "tasks": None, "length": None}


@pytest.mark.parametrize("name", kinds.FAITHFUL)
@pytest.mark.parametrize(
    ("infill", "read"),
    [
        ("ab[...1]cd[...1]. a", "abXcdX. a"),
        ("ab [...1] cd", "ab X cd"),
        (" ab[...1]", " abX"),
        ("[...1]ab ", "Xab "),
    ],
)
def test_a_text_with_gaps_reads_as_it_was_typed(name: str, infill: str, read: str) -> None:
    tokenizer = kinds.tokenizer(kinds.FAITHFUL[name]())
    (task,) = read_tasks(NONE | {"infill": infill}, tokenizer, [tokenizer.bos], 64, False)
    letter = tokenizer.encode_within("f").tolist()
    assert len(letter) == 1
    ids = [letter[0] if token == tokenizer.vocab_size else token for token in task.tokens]
    assert tokenizer.decode(ids) == read.replace("X", "f")


def test_a_prompt_and_a_suffix_read_as_they_were_typed(tmp_path: Path) -> None:
    tokenizer = kinds.tokenizer(kinds.metaspace("always"))
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"prompt": "ab", "suffix": "cd", "length": 9}\n')
    (task,) = read_tasks(NONE | {"tasks": str(file)}, tokenizer, [tokenizer.bos], 64, False)
    shown = [token for token in task.tokens if token != tokenizer.vocab_size]
    assert tokenizer.decode(shown) == "abcd"


def test_a_mark_of_byte_order_is_no_text(tmp_path: Path) -> None:
    lines, rows = tmp_path / "a.txt", tmp_path / "a.jsonl"
    lines.write_bytes(b"\xef\xbb\xbfab\r\ncd\n")
    rows.write_bytes(b'\xef\xbb\xbf{"text": "ab"}\n')
    assert [one.text for one in read_txt(lines)] == ["ab", "cd"]
    assert [one.text for one in read_jsonl(rows)] == ["ab"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.json"])
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes('ab\n{"text": "Größe"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^sampling\.texts=.*{name}") as caught:
        read_texts(file, make_tokenizer("bytes"), [], 99)
    assert "\n" not in str(caught.value)
    file.write_bytes(b"[" * 200_000)
    if name != "a.txt":
        with pytest.raises(ValueError, match="not JSON"):
            read_texts(file, make_tokenizer("bytes"), [], 99)
