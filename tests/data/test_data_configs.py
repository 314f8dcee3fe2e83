"""Every configs/data file makes a data module, and the papers' protocols are what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.module import TokenDataModule
from tests.data.conftest import composed

FILES = sorted((Path(__file__).resolve().parents[2] / "configs" / "data").glob("*.yaml"))
ZERO_SHOT = ["wikitext2", "wikitext103", "ptb", "lambada", "ag_news", "scientific_papers_arxiv"]


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_file_builds(make: Callable[..., TokenDataModule], shared: Path, name: str) -> None:
    changes: dict[str, Any] = {}
    tokenizer = composed(name).tokenizer_name_or_path
    if tokenizer in ("gpt2", "bert-base-uncased"):
        changes["tokenizer_name_or_path"] = str(shared / "tokenizers" / tokenizer)
    if name == "text":
        changes["path"] = str(shared / "data" / "tinyshakespeare" / "input.txt")
    if name == "hub":
        changes["path"] = "user/name"
    data = make(name, **changes)
    assert data.name == name
    assert data.tokenizer.name == changes.get("tokenizer_name_or_path", data.tokenizer.name)


def test_there_is_a_file_for_every_corpus() -> None:
    expected = {
        *(
            "stdlib",
            "shakespeare",
            "markov",
            "text",
            "hub",
            "openwebtext",
            "openwebtext-split",
            "lm1b",
            "lm1b-wrap",
        ),
        *("text8", "fineweb-edu", "scientific_papers_pubmed", *ZERO_SHOT),
    }
    assert {file.stem for file in FILES} == expected


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_zero_shot_sets_have_no_eos_between_documents(
    make: Callable[..., TokenDataModule], name: str
) -> None:
    data = make(name, tokenizer_name_or_path="bytes").keys
    assert (data.insert_eos, data.packing, data.framing) == (False, "wrap", "bos")


def test_lm1b_follows_its_published_protocol(
    make: Callable[..., TokenDataModule], shared: Path
) -> None:
    bert = str(shared / "tokenizers" / "bert-base-uncased")
    data = make("lm1b", tokenizer_name_or_path=bert)
    keys = data.keys
    assert (keys.packing, keys.framing, keys.crop, keys.insert_eos) == (
        "pad",
        "bos-eos",
        "start",
        False,
    )
    assert (data.tokenizer.bos, data.tokenizer.eos, data.tokenizer.pad) == (101, 102, 0)


def test_the_default_corpus_reads_and_decodes(make: Callable[..., TokenDataModule]) -> None:
    data = make("stdlib", length=128)
    batch = next(iter(data.val_dataloader()))
    text = data.tokenizer.decode(batch["tokens"][1])
    assert len(text) > 100 and text.isprintable() is False and " " in text
