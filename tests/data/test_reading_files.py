"""Files that are read, files that are passed over, and the line that says so."""

import gzip
import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from data import formats
from data.build import build_or_open
from data.corpora import TextCorpus
from data.files import search
from data.formats import LongText, whole
from data.store import TokenStore
from data.tokenizers import make_tokenizer

TEXT = b"one line of words and numbers 0123456789\n" * 400


def corpus(path: Path, **changes: Any) -> TextCorpus:
    keys = {"valid_path": None, "text_key": "text", "valid_split": "tail", "valid_fraction": 0.1}
    return TextCorpus(str(path), **{**keys, **changes})


def built(path: Path, cache: Path, split: str = "train") -> tuple[TokenStore, list[str]]:
    lines: list[str] = []
    store = build_or_open(
        cache, corpus(path), split, make_tokenizer("bytes"), False, 1, tell=lines.append
    )
    return store, lines


def test_a_folder_says_what_it_reads_and_what_it_passes_over(tmp_path: Path) -> None:
    root, other = tmp_path / "corpus", tmp_path / "other"
    (root / ".checkpoints").mkdir(parents=True)
    other.mkdir()
    for name in ("a.txt", "._a.txt", ".checkpoints/a.txt", "D.TXT", "e.json", "g.md"):
        (root / name).write_text("text of this file")
    (other / "b.txt").write_text("text of a linked folder")
    (root / "more").symlink_to(other)
    (root / "again.txt").symlink_to(root / "a.txt")
    (root / "gone.txt").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.txt")
    assert [file.name for file in search(str(root), "data.path").files] == [
        "D.TXT",
        "a.txt",
        "b.txt",
    ]
    _, (line,) = built(root, tmp_path / "cache")
    assert line.startswith("tokenized train: 3 files, 3 documents, 51 bytes, 51 tokens; left out: ")
    for part in (
        "2 hidden (._a.txt, .checkpoints)",
        "2 of other endings (.json, .md)",
        "2 unreadable (gone.txt, pipe.txt)",
        "1 links to files that are read already (again.txt)",
    ):
        assert part in line
    _, (later,) = built(root, tmp_path / "cache")
    assert later.startswith("tokens of train: left out: 2 hidden")


def test_nothing_left_out_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(TEXT)
    _, lines = built(tmp_path / "a.txt", tmp_path / "cache")
    assert lines == ["tokenized train: 1 file, 1 document, 14,760 bytes, 14,760 tokens"]
    assert built(tmp_path / "a.txt", tmp_path / "cache")[1] == []


def test_bytes_that_are_no_utf8_are_counted_in_their_split(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9 " * 10 + b"plain " * 100)
    train, (line,) = built(tmp_path / "a.txt", tmp_path / "cache")
    assert "10 bytes that are not UTF-8 became U+FFFD" in line
    assert train.meta["losses"]["invalid_bytes"] == 10
    valid, (line,) = built(tmp_path / "a.txt", tmp_path / "cache", "valid")
    assert valid.meta["losses"]["invalid_bytes"] == 0 and "UTF-8" not in line


def test_byte_order_marks(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfwords")
    assert list(corpus(file, valid_path="x").documents("train")) == ["words"]
    for encoding in ("utf-16", "utf-16-be"):
        mark = b"\xfe\xff" if encoding.endswith("be") else b""
        file.write_bytes(mark + "words".encode(encoding))
        with pytest.raises(ValueError, match=r"^data\.path: .*a\.txt is UTF-16"):
            list(corpus(file).documents("train"))


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@pytest.mark.parametrize("kind", [".txt", ".jsonl"])
def test_damaged_compressed_files_are_named(tmp_path: Path, ending: str, kind: str) -> None:
    pack = gzip.compress if ending == ".gz" else lzma.compress
    plain = TEXT if kind == ".txt" else b'{"text": "%s"}\n' % os.urandom(5000).hex().encode()
    good = pack(plain)
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 255]) + good[middle + 1 :]
    for content in (good[:middle], flipped, plain, good[:4]):
        file = tmp_path / f"shard{kind}{ending}"
        file.write_bytes(content)
        with pytest.raises((OSError, ValueError), match=r"^data\.path: .*shard\S* ") as caught:
            list(map(whole, corpus(file, valid_path="x").documents("train")))
        assert "\n" not in str(caught.value)


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "shard.parquet"
    texts = [os.urandom(40).hex() for _ in range(500)]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), file, compression="snappy")
    good = file.read_bytes()
    for content in (good[:-10], good[:100] + bytes(2000) + good[2100:], b""):
        file.write_bytes(content)
        with pytest.raises(OSError, match=r"^data\.path: .*shard\.parquet cannot be read"):
            list(corpus(file).documents("train"))


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([["a"], ["b"]]),
        pyarrow.array([{"body": "a"}]),
        pyarrow.array([b"a"]),
        pyarrow.array([1, 2]),
        pyarrow.array([True]),
    ],
    ids=str,
)
def test_parquet_columns_without_text_are_refused(tmp_path: Path, column: Any) -> None:
    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": column, "title": ["x"] * len(column)}), file)
    line = r"in the column data\.text_key='text', not text; columns of text: \['title'\]"
    with pytest.raises(ValueError, match=line):
        list(corpus(file).documents("train"))


def test_parquet_columns_of_text(tmp_path: Path) -> None:
    plain = pyarrow.array(["a", None, "b"])
    for column in (plain, plain.cast(pyarrow.large_string()), plain.dictionary_encode()):
        file = tmp_path / "a.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"text": column}), file)
        assert list(corpus(file, valid_path="x").documents("train")) == ["a", "", "b"]


def test_rows_without_text(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "a"}\n{"text": null}\n{"text": ""}\n{"text": "b"}\n')
    store, (line,) = built(file, tmp_path / "cache")
    assert store.meta["documents"] == 1 and "2 documents without text" in line
    for odd, said in (
        ('{"text": 3}', "line 1 has a int at data.text_key='text', not a text"),
        ('{"body": "x"}', "line 1 has no key data.text_key='text'; there: ['body']"),
        ('["x"]', "line 1: a list, not an object"),
        ("[" * 100_000 + "]" * 100_000, "line 1: nested too deeply"),
        ('{"text": ' + "1" * 5000 + "}", "line 1: not JSON"),
    ):
        file.write_text(odd + "\n")
        with pytest.raises(ValueError) as caught:
            list(corpus(file).documents("train"))
        assert str(caught.value).startswith(f"data.path: {file} {said}")


@pytest.mark.parametrize("make", [str, json.dumps], ids=["txt", "jsonl"])
def test_a_long_text_is_read_in_parts_and_has_the_same_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[object], str]
) -> None:
    text = "Größe 日本 and words " * 500
    file = tmp_path / ("a.txt" if make is str else "a.jsonl")
    file.write_text(text if make is str else json.dumps({"text": text}))
    short = built(file, tmp_path / "short")[0]
    monkeypatch.setattr(formats, "_PART_BYTES", 7)
    monkeypatch.setattr("data.encode._PIECE_CHARACTERS", 11)
    (document,) = corpus(file, valid_path="x").documents("train")
    assert isinstance(document, LongText) is (make is str) and whole(document) == text
    long = built(file, tmp_path / "long")[0]
    assert long.tokens.tolist() == short.tokens.tolist()
    assert long.offsets.tolist() == short.offsets.tolist()
    (kept,) = corpus(file, valid_split="hash", valid_fraction=1e-9).documents("train")
    assert whole(kept) == text


def test_no_home_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.places import cache_folder

    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lines: list[str] = []
    folder = cache_folder("~/.cache/tokens", lines.append)
    assert folder.parent == tmp_path and folder.is_dir() and str(folder) in lines[0]
    with pytest.raises(ValueError, match=r"data\.path='~/a\.txt': this user has no home folder"):
        search("~/a.txt", "data.path")
