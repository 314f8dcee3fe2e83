"""Hub corpora, read from small local folders laid out like the originals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from data.hf_corpus import HubCorpus

TRAIN = [f"train document {i} ." for i in range(20)]
TEST = ["test one .", "test two ."]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "arrow")


def parquet(file: Path, texts: Sequence[str | None], column: str = "text") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({column: texts}), file)


def hub(path: Path | str, **changes: Any) -> HubCorpus:
    keys: dict[str, Any] = {
        "config": None,
        "revision": None,
        "files": None,
        "train_split": "train",
        "valid_split": "test",
        "text_key": "text",
        "detokenizer": None,
    }
    return HubCorpus(str(path), **{**keys, **changes})


def test_split_expressions_share_one_file(tmp_path: Path) -> None:
    parquet(tmp_path / "owt" / "plain_text" / "train-00000-of-00001.parquet", TRAIN)
    corpus = hub(
        tmp_path / "owt",
        config="plain_text",
        train_split="train[:-5]",
        valid_split="train[-5:]",
    )
    assert list(corpus.documents("train")) == TRAIN[:-5]
    assert list(corpus.documents("valid")) == TRAIN[-5:]
    assert 0 < (corpus.size_hint("valid") or 0) < (corpus.size_hint("train") or 0)


def test_patterns_pick_the_files_of_a_converted_revision(tmp_path: Path) -> None:
    root = tmp_path / "papers"
    parquet(root / "arxiv" / "partial-train" / "0000.parquet", TRAIN, "article")
    parquet(root / "arxiv" / "test" / "0000.parquet", ["( a ) , b", None], "article")
    parquet(root / "pubmed" / "test" / "0000.parquet", ["wrong"], "article")
    corpus = hub(
        root,
        revision="refs/convert/parquet",
        files={"train": "arxiv/*train/*.parquet", "test": "arxiv/*test/*.parquet"},
        text_key="article",
        detokenizer="wikitext",
    )
    assert list(corpus.documents("valid")) == ["(a), b", ""]
    assert list(corpus.documents("train")) == [text.replace(" .", " .") for text in TRAIN]


def test_a_readme_declares_the_configurations(tmp_path: Path) -> None:
    root = tmp_path / "wikitext"
    for config in ("wikitext-2-raw-v1", "wikitext-103-raw-v1"):
        parquet(root / config / "test-00000-of-00001.parquet", [f" of {config}\n"])
    parts = "".join(
        f"- config_name: {config}\n  data_files:\n  - split: test\n    path: {config}/test-*\n"
        for config in ("wikitext-2-raw-v1", "wikitext-103-raw-v1")
    )
    (root / "README.md").write_text(f"---\nconfigs:\n{parts}---\n")
    corpus = hub(root, config="wikitext-103-raw-v1")
    assert list(corpus.documents("valid")) == [" of wikitext-103-raw-v1\n"]


def test_jsonl_and_text_folders_without_configurations(tmp_path: Path) -> None:
    rows, lines = tmp_path / "rows", tmp_path / "lines"
    rows.mkdir()
    lines.mkdir()
    for split, texts in (("train", TRAIN), ("test", TEST)):
        (rows / f"{split}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        (lines / f"{split}.txt").write_text("".join(f"{text}\n" for text in texts))
    assert list(hub(rows, config="default").documents("valid")) == TEST
    assert list(hub(rows).documents("train")) == TRAIN
    assert list(hub(lines).documents("valid")) == [f"{text}\n" for text in TEST]


def test_digest_follows_every_choice(tmp_path: Path) -> None:
    parquet(tmp_path / "local" / "test.parquet", TEST)
    base: dict[str, Any] = {"config": "a", "revision": "r"}
    corpora = [
        hub("owner/name", **base),
        hub("owner/other", **base),
        hub("owner/name", **{**base, "config": "b"}),
        hub("owner/name", **{**base, "revision": "s"}),
        hub("owner/name", **base, valid_split="test[:1]"),
        hub("owner/name", **base, text_key="body"),
        hub("owner/name", **base, detokenizer="ptb"),
        hub("owner/name", **base, files={"test": "x"}),
        hub(tmp_path / "local", **base),
    ]
    digests = [corpus.digest("valid") for corpus in corpora]
    assert len(set(digests)) == len(digests)
    assert hub("owner/name", **base).digest("valid") == digests[0]
    parquet(tmp_path / "local" / "test.parquet", ["changed"])
    assert corpora[-1].digest("valid") != digests[-1]


def refusal(corpus: HubCorpus, split: str = "valid") -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        list(corpus.documents(split))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_refusals_are_one_clear_line(tmp_path: Path) -> None:
    parquet(tmp_path / "c" / "test.parquet", TEST)
    good = tmp_path / "c"
    assert "data.text_key='body'" in refusal(hub(good, text_key="body"))
    assert "['text']" in refusal(hub(good, text_key="body"))
    assert "data.valid_split='validation'" in refusal(hub(good, valid_split="validation"))
    assert "data.valid_split='test[x:]'" in refusal(hub(good, valid_split="test[x:]"))
    assert "data.train_split=null" in refusal(hub(good, train_split=None), "train")
    assert hub(good, train_split=None).splits == ("valid",)
    assert "data.path='./missing'" in refusal(hub("./missing"))
    assert "data.path='owner/name' cannot be loaded" in refusal(hub("owner/name"))
    (tmp_path / "empty").mkdir()
    assert "data.path=" in refusal(hub(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"data\.detokenizer='x': choose from"):
        hub(good, detokenizer="x")


def test_a_saved_dataset_reads_by_the_same_expressions(tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    datasets.Dataset.from_dict({"text": TRAIN}).save_to_disk(alone)
    datasets.DatasetDict(
        train=datasets.Dataset.from_dict({"text": TRAIN}),
        test=datasets.Dataset.from_dict({"text": TEST}),
    ).save_to_disk(both)
    cut = hub(alone, train_split="train[:-5]", valid_split="train[-5:]")
    assert list(cut.documents("train")) == TRAIN[:-5]
    assert list(cut.documents("valid")) == TRAIN[-5:]
    assert list(hub(both).documents("valid")) == TEST
    assert cut.digest("train") != hub(both).digest("train")
    line = refusal(hub(both, valid_split="validation"))
    assert "data.valid_split='validation': " in line and "train[-1000:]" in line


def test_a_column_that_holds_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    table = pyarrow.table({"text": [["a", "b"]]})
    pyarrow.parquet.write_table(table, tmp_path / "lists" / "test.parquet")
    line = refusal(hub(tmp_path / "lists"))
    assert "data.text_key='text'" in line and "not text" in line


def test_a_path_is_needed() -> None:
    with pytest.raises(ValueError, match=r"data\.path=null: name a dataset of the Hub"):
        HubCorpus(None, None, None, None, "train", "validation", "text", None)
