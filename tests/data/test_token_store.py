"""Token stores: contents, keys, damaged files and failing builds."""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.build import build_or_open
from data.encode import encode_documents
from data.store import TokenStore, store_fields, store_name, token_dtype
from data.tokenizers import make_tokenizer

BYTES = make_tokenizer("bytes")


class ListCorpus:
    """Documents in memory, with a chance to act while they are read."""

    splits = ("train", "valid")
    language = None

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.reads = 0

    def documents(self, split: str) -> Iterator[str]:
        self.reads += 1
        yield from self.texts

    def digest(self, split: str) -> str:
        return hashlib.sha256(repr([split, self.texts]).encode()).hexdigest()

    def size_hint(self, split: str) -> int | None:
        return None

    def found(self, split: str) -> None:
        return None


def build(
    folder: Path, corpus: ListCorpus, insert_eos: bool = True, num_proc: int = 1
) -> TokenStore:
    return build_or_open(folder, corpus, "train", BYTES, insert_eos, num_proc)


@pytest.mark.parametrize("insert_eos", [True, False])
def test_documents_come_back_exactly(tmp_path: Path, insert_eos: bool) -> None:
    texts = ["first", "", "Größe", "x" * 1000]
    store = build(tmp_path, ListCorpus(texts), insert_eos)
    kept = [text.encode() for text in texts if text]
    end = [256] if insert_eos else []
    for number, raw in enumerate(kept):
        start, stop = store.offsets[number : number + 2]
        assert store.tokens[start:stop].tolist() == list(raw) + end
    assert store.tokens.dtype == np.uint16
    text = sum(map(len, kept))
    counts = {key: store.meta[key] for key in ("documents", "tokens", "text_tokens", "text_bytes")}
    assert counts == {
        "documents": 3,
        "tokens": text + 3 * insert_eos,
        "text_tokens": text,
        "text_bytes": text,
    }


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path: Path) -> None:
    store = build(tmp_path, ListCorpus(["a\ud800b"]), insert_eos=False)
    assert bytes(store.tokens.astype(np.uint8)) == "a\ufffdb".encode()


@pytest.mark.parametrize("num_proc", [1, 2])
def test_order_survives_parallel_encoding(num_proc: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.encode._BATCH_CHARACTERS", 500)
    texts = [f"document {i} " * (i % 7) for i in range(400)]
    batches = list(encode_documents(iter(texts), BYTES, num_proc))
    assert len(batches) > 20
    assert [BYTES.decode(ids) for batch in batches for ids in batch.ids] == texts


def test_reading_stays_only_a_little_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.encode._BATCH_DOCUMENTS", 1)
    read = 0

    def documents() -> Iterator[str]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield "text"

    encoded = encode_documents(documents(), BYTES, 1)
    next(encoded)
    assert read < 10
    encoded.close()


def test_every_ingredient_changes_the_key() -> None:
    base = ("corpus", "train", "tokenizer", True, "uint16")
    names = {store_name(store_fields(*base))}
    for place, other in enumerate(["corpus2", "valid", "tokenizer2", False, "uint32"]):
        changed = list(base)
        changed[place] = other
        names.add(store_name(store_fields(*changed)))
    names.add(store_name({**store_fields(*base), "format": -1}))
    assert len(names) == 7


def test_the_type_holds_the_mask() -> None:
    assert token_dtype(65535) == "uint16" and token_dtype(65536) == "uint32"


def test_a_store_is_reused_until_something_changes(tmp_path: Path) -> None:
    corpus = ListCorpus(["some text"])
    build(tmp_path, corpus)
    build(tmp_path, corpus)
    assert corpus.reads == 1
    build(tmp_path, corpus, insert_eos=False)
    corpus.texts.append("more")
    build(tmp_path, corpus)
    assert corpus.reads == 3
    build_or_open(tmp_path, corpus, "train", make_tokenizer("text8"), True, 1)
    assert corpus.reads == 4 and len(list(tmp_path.glob("train-*/meta.json"))) == 4


@pytest.mark.parametrize("damage", ["tokens.bin", "offsets.bin", "meta.json", "gone", "garbage"])
def test_damage_is_noticed_and_repaired(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = ListCorpus(["some text", "and more"])
    store = build(tmp_path, corpus)
    good = store.tokens.tolist()
    if damage == "gone":
        (store.folder / "tokens.bin").unlink()
    elif damage == "garbage":
        (store.folder / "meta.json").write_text('["no"]')
    else:
        file = store.folder / damage
        file.write_bytes(file.read_bytes()[:-2])
    with caplog.at_level(logging.WARNING):
        again = build(tmp_path, corpus)
    assert again.tokens.tolist() == good and corpus.reads == 2
    assert len(caplog.records) == 1 and "rebuilding" in caplog.text


def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("data.build.checksums", full)
        with pytest.raises(OSError, match=r"data\.cache_dir=.*No space left on device") as caught:
            build(tmp_path, ListCorpus(["text"]))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert build(tmp_path, ListCorpus(["text"])).meta["tokens"] == 5


def test_an_unusable_cache_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"data\.cache_dir="):
        build(tmp_path / "file" / "below", ListCorpus(["text"]))


def test_errors_of_the_corpus_pass_through(tmp_path: Path) -> None:
    class Broken(ListCorpus):
        def documents(self, split: str) -> Iterator[str]:
            yield "text"
            raise FileNotFoundError("data.path='x': gone")

    with pytest.raises(FileNotFoundError, match=r"data\.path='x': gone"):
        build(tmp_path, Broken(["text"]))


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_an_empty_corpus_is_refused(tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(ValueError, match="the train split of the corpus is empty"):
        build(tmp_path, ListCorpus(texts))
    assert not list(tmp_path.glob("train-*[!k]"))


def test_the_record_of_a_store_has_its_own_checksum(tmp_path: Path) -> None:
    store = build(tmp_path, ListCorpus(["text"]))
    meta = json.loads((store.folder / "meta.json").read_text())
    assert meta == store.meta | {"sha256": meta["sha256"]}
