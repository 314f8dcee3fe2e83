"""Corpora on this machine: splits, digests, every format, every refusal."""

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from data.corpora import MarkovCorpus, StdlibCorpus, TextCorpus
from data.formats import whole

TEXTS = ["alpha beta", "gamma\n", "", "delta 日本"]


def text_corpus(path: Path | str | None, **changes: Any) -> TextCorpus:
    keys = {
        "valid_path": None,
        "text_key": "text",
        "valid_split": "tail",
        "valid_fraction": 0.1,
    }
    return TextCorpus(**{"path": None if path is None else str(path), **keys, **changes})


def write(folder: Path, name: str) -> Path:
    rows = "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS)
    file = folder / name
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(rows.encode()))
    elif name.endswith(".xz"):
        file.write_bytes(lzma.compress(rows.encode()))
    elif name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, "id": [1] * 4}), file)
    else:
        file.write_text(rows)
    return file


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.xz", "a.parquet"])
def test_rows_of_every_format(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, name)
    corpus = text_corpus(file, valid_path=str(file))
    assert list(corpus.documents("train")) == list(corpus.documents("valid")) == TEXTS


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "deep" / "c.txt.xz").write_bytes(lzma.compress(b"c\xff"))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a"))
    (tmp_path / "README.md").write_text("not text of the corpus")
    corpus = text_corpus(tmp_path, valid_path=str(tmp_path / "b.txt"))
    assert list(corpus.documents("train")) == ["a", "b", "c\udcff"]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.9])
def test_the_tail_of_the_characters_is_held_out(tmp_path: Path, fraction: float) -> None:
    whole = "".join(TEXTS)
    corpus = text_corpus(write(tmp_path, "a.jsonl"), valid_fraction=fraction)
    train, valid = ("".join(corpus.documents(split)) for split in ("train", "valid"))
    assert train + valid == whole
    assert len(train) == int(len(whole) * (1 - fraction))


def test_a_single_document_splits_as_the_published_recipe_does(shared: Path) -> None:
    file = shared / "data" / "tinyshakespeare" / "input.txt"
    text = file.read_text()
    (train,) = map(whole, text_corpus(file).documents("train"))
    (valid,) = map(whole, text_corpus(file).documents("valid"))
    assert (train, valid) == (text[: int(0.9 * len(text))], text[int(0.9 * len(text)) :])


def test_hash_split_keeps_documents_whole_and_where_they_are(tmp_path: Path) -> None:
    texts = [f"document {i}" for i in range(2000)]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus = text_corpus(file, valid_split="hash")
    train, valid = (list(corpus.documents(split)) for split in ("train", "valid"))
    assert sorted(train + valid) == sorted(texts)
    assert abs(len(valid) - 200) < 4 * np.sqrt(2000 * 0.1 * 0.9)
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[::2]))
    assert set(corpus.documents("valid")) == set(valid) & set(texts[::2])


def test_digest_follows_content_and_split_but_not_place(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    first = write(tmp_path, "a.jsonl")
    corpus = text_corpus(first)
    digest = corpus.digest("train")
    assert digest != corpus.digest("valid")
    assert digest == text_corpus(write(tmp_path / "x", "moved.jsonl")).digest("train")
    for change in ({"valid_fraction": 0.2}, {"valid_split": "hash"}, {"text_key": "id"}):
        assert digest != text_corpus(first, **change).digest("train")
    first.write_text(first.read_text().replace("alpha", "alphA"))
    assert digest != corpus.digest("train")


def test_size_hint_is_known_for_plain_files_only(tmp_path: Path) -> None:
    assert text_corpus(write(tmp_path, "a.jsonl.gz")).size_hint("train") is None
    plain = write(tmp_path, "a.jsonl")
    size = plain.stat().st_size
    assert text_corpus(plain).size_hint("valid") == int(size * 0.1)
    assert text_corpus(plain, valid_path=str(plain)).size_hint("valid") == size


def test_stdlib_is_the_library_and_nothing_else() -> None:
    corpus = StdlibCorpus(valid_fraction=0.05)
    train, valid = (list(corpus.documents(split)) for split in ("train", "valid"))
    assert len(train) > 400 and 10 < len(valid) < 80
    assert sum(map(len, train)) > 5_000_000
    assert any("class JSONDecoder" in text for text in train + valid)
    assert not any("class TestCase_" in text or "import pytest" in text for text in train)
    assert corpus.digest("train") == StdlibCorpus(0.05).digest("train") != corpus.digest("valid")
    assert corpus.digest("train") != StdlibCorpus(0.06).digest("train")


def test_markov_splits_differ_and_repeat() -> None:
    keys = {
        "states": 4,
        "order": 1,
        "concentration": 0.5,
        "language_seed": 1,
        "train_tokens": 300,
        "valid_tokens": 200,
    }
    corpus = MarkovCorpus(**keys)
    (train,), (valid,) = corpus.documents("train"), corpus.documents("valid")
    assert (len(train.split()), len(valid.split())) == (300, 200)
    assert train[:300] != valid[:300]
    assert [train] == list(MarkovCorpus(**keys).documents("train"))
    other = MarkovCorpus(**{**keys, "language_seed": 2})
    assert other.digest("train") != corpus.digest("train") != corpus.digest("valid")
    with pytest.raises(ValueError, match=r"data\.train_tokens=0"):
        MarkovCorpus(**{**keys, "train_tokens": 0})


def refusal(corpus: TextCorpus) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        list(corpus.documents("valid"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_paths_keys_and_files_are_one_clear_line(tmp_path: Path) -> None:
    assert "data.path" in refusal(text_corpus(tmp_path / "missing"))
    assert "data.valid_path" in refusal(text_corpus("x", valid_path=str(tmp_path / "missing")))
    odd = tmp_path / "a.csv"
    odd.write_text("x")
    assert "unknown suffix; allowed: .txt" in refusal(text_corpus(odd))
    (tmp_path / "a.parquet.gz").write_bytes(b"")
    assert "unknown suffix" in refusal(text_corpus(tmp_path / "a.parquet.gz"))
    assert "no file here ends in" in refusal(text_corpus(tmp_path))
    for name in ("r.jsonl", "r.parquet"):
        line = refusal(text_corpus(write(tmp_path, name), text_key="body"))
        assert "data.text_key='body'" in line and "'id', 'text'" in line.replace(
            "'text', 'id'", "'id', 'text'"
        )
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "x"}\n{"text": \n')
    assert "line 2: not JSON" in refusal(text_corpus(broken))
    (tmp_path / "broken.parquet").write_text("no")
    assert "broken.parquet cannot be read" in refusal(text_corpus(tmp_path / "broken.parquet"))


def test_bad_split_settings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("one document")
    with pytest.raises(ValueError, match=r"data\.path=null"):
        text_corpus(None)
    with pytest.raises(ValueError, match=r"data\.valid_split='head': choose from"):
        text_corpus(file, valid_split="head")
    with pytest.raises(ValueError, match=r"data\.valid_fraction=1.5"):
        text_corpus(file, valid_fraction=1.5)
    lonely = text_corpus(file, valid_split="hash", valid_fraction=1e-9)
    assert "data.valid_split=tail" in refusal(lonely)
