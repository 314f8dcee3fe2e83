"""Token stores that were changed after they were built: never read, rebuilt with a line."""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from data import checksums as module
from data.build import build_or_open
from data.checksums import PAGE, checksums, damage
from data.store import TokenStore, open_store
from data.tokenizers import make_tokenizer

TEXTS = ["a first text", "and a second one", "x" * 500]


class Corpus:
    """Texts in memory, which may be gone."""

    splits = ("train", "valid")
    language = None
    gone = False

    def documents(self, split: str) -> Iterator[str]:
        if self.gone:
            raise FileNotFoundError("data.path='text': no such file")
        yield from TEXTS

    def digest(self, split: str) -> str:
        return split

    def size_hint(self, split: str) -> int | None:
        return None

    def found(self, split: str) -> None:
        return None


def build(folder: Path, corpus: Corpus, verify: str = "sample") -> TokenStore:
    return build_or_open(folder, corpus, "train", make_tokenizer("bytes"), True, 1, verify)


def constant(store: TokenStore) -> None:
    file = store.folder / "tokens.bin"
    file.write_bytes(np.full(store.meta["tokens"], 65, dtype=np.uint16).tobytes())


def one_bit(store: TokenStore) -> None:
    file = store.folder / "tokens.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)


def beyond(store: TokenStore) -> None:
    file = store.folder / "tokens.bin"
    file.write_bytes(b"\xff" * file.stat().st_size)


def offsets(store: TokenStore) -> None:
    file = store.folder / "offsets.bin"
    file.write_bytes(np.array([5, 3, 10**9, 1], dtype=np.int64).tobytes())


def pipe(name: str) -> Callable[[TokenStore], None]:
    def make(store: TokenStore) -> None:
        (store.folder / name).unlink()
        os.mkfifo(store.folder / name)

    return make


def meta(content: str) -> Callable[[TokenStore], None]:
    def write(store: TokenStore) -> None:
        (store.folder / "meta.json").write_text(content)

    return write


def edited(store: TokenStore) -> None:
    file = store.folder / "meta.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"text_bytes": 1}))


def a_file(store: TokenStore) -> None:
    for file in store.folder.iterdir():
        file.unlink()
    store.folder.rmdir()
    store.folder.write_text("a file")


def a_loop(store: TokenStore) -> None:
    a_file(store)
    store.folder.unlink()
    store.folder.symlink_to(store.folder)


DAMAGES = {
    "constant": constant,
    "one bit": one_bit,
    "beyond the vocabulary": beyond,
    "offsets": offsets,
    "nested": meta("[" * 100_000 + "]" * 100_000),
    "a list": meta('["fields"]'),
    "a number": meta("5"),
    "null": meta("null"),
    "no JSON": meta("{"),
    "huge number": meta('{"tokens": ' + "9" * 5000 + "}"),
    "edited": edited,
    "pipe for meta": pipe("meta.json"),
    "pipe for tokens": pipe("tokens.bin"),
    "pipe for offsets": pipe("offsets.bin"),
    "a file for the folder": a_file,
    "a loop for the folder": a_loop,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_changed_store_is_built_again_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    good = build(tmp_path, Corpus())
    expected, files = good.tokens.tolist(), good.meta["files"]
    DAMAGES[name](good)
    with caplog.at_level(logging.WARNING):
        again = build(tmp_path, Corpus())
    assert (again.tokens.tolist(), again.meta["files"]) == (expected, files)
    assert len(caplog.records) == 1 and "rebuilding" in caplog.text
    opened = open_store(again.folder, again.meta["fields"], "full")
    assert opened is not None and opened.meta == again.meta


@pytest.mark.parametrize("name", ["one bit", "a list"])
def test_a_changed_store_whose_text_is_gone_is_refused(tmp_path: Path, name: str) -> None:
    DAMAGES[name](build(tmp_path, Corpus()))
    corpus = Corpus()
    corpus.gone = True
    with pytest.raises(ValueError, match=r"data\.cache_dir: .*damaged.*no such file") as caught:
        build(tmp_path, corpus)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    store = build(tmp_path, Corpus())
    for name in ("tokens.bin", "offsets.bin"):
        whole = hashlib.sha256((store.folder / name).read_bytes()).hexdigest()
        assert store.meta["files"][name]["sha256"] == whole
    assert store.sha256 == store.meta["files"]["tokens.bin"]["sha256"]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 100)
    monkeypatch.setattr(module, "WHOLE", 1000)
    monkeypatch.setattr(module, "SAMPLED", 8)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 2000, 2050])
def test_checksums_are_of_the_whole_and_of_each_page(tmp_path: Path, size: int) -> None:
    content = np.random.default_rng(0).bytes(size)
    file = tmp_path / "file"
    file.write_bytes(content)
    sums = checksums(file)
    pages = [hashlib.sha256(content[i : i + 100]).hexdigest() for i in range(0, size, 100)]
    whole = hashlib.sha256(content).hexdigest()
    assert sums == {"bytes": size, "sha256": whole, "pages": pages}
    assert damage(file, sums, full=False) is None and damage(file, sums, full=True) is None


@pytest.mark.usefixtures("small_pages")
def test_a_large_file_is_sampled_and_whole_on_demand(tmp_path: Path) -> None:
    file, pages = tmp_path / "file", 40
    file.write_bytes(bytes(100 * pages))
    sums = checksums(file)
    content = bytearray(100 * pages)
    content[550] = 1  # neither the first page nor the last
    file.write_bytes(content)
    assert damage(file, sums, full=True) == "file was changed"
    seen = sum(damage(file, sums, full=False) is not None for _ in range(2000)) / 2000
    share = 8 / pages
    assert abs(seen - share) < 4 * (share * (1 - share) / 2000) ** 0.5
    file.write_bytes(bytes([1]) * 100 * pages)
    assert "at byte 0" in str(damage(file, sums, full=False))
    content[550], content[-1] = 0, 1
    file.write_bytes(content)
    assert "at byte 3900" in str(damage(file, sums, full=False))


def test_a_page_is_a_power_of_two_of_bytes() -> None:
    assert PAGE & (PAGE - 1) == 0  # a token lies in one page
