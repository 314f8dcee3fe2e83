"""The text that comes with the project, against the published file where that is at hand."""

import hashlib
import lzma
from pathlib import Path

import pytest

from data import shakespeare
from data.shakespeare import ShakespeareCorpus


def text_of(corpus: ShakespeareCorpus, split: str) -> str:
    (text,) = corpus.documents(split)
    return text


def test_shakespeare_is_the_published_text_cut_as_by_nanogpt(shared: Path) -> None:
    published = (shared / "data" / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    corpus = ShakespeareCorpus(None)
    train, valid = text_of(corpus, "train"), text_of(corpus, "valid")
    assert train + valid == published
    assert len(train) == int(len(published) * 0.9) == 1_003_854


def test_shakespeare_has_a_digest_for_each_text() -> None:
    whole, part = ShakespeareCorpus(None), ShakespeareCorpus(50_000)
    assert text_of(part, "train") == text_of(whole, "train")[:50_000]
    assert part.digest("valid") == whole.digest("valid") != whole.digest("train")
    digest = hashlib.sha256(text_of(part, "train").encode()).hexdigest()
    assert part.digest("train") == digest != whole.digest("train")


def test_shakespeare_refuses_another_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "other.txt.xz"
    file.write_bytes(lzma.compress(b"to be or not"))
    monkeypatch.setattr(shakespeare, "FILE", file)
    with pytest.raises(ValueError, match=r"data=shakespeare: .*other.txt.xz is damaged"):
        ShakespeareCorpus(None).digest("train")
