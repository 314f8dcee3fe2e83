"""Tokenizer folders that are damaged, bring code, need a package, or lack a token: one line each,
which names the folder."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from data.build import build_or_open
from data.corpora import TextCorpus
from data.pretrained import PretrainedTokenizer
from data.tokenizers import make_tokenizer
from tests.data import kinds

Damage = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Backend(models.WordLevel(kinds.numbered([*"123", "12"]), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    saved = tmp_path / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<s>").save_pretrained(saved)
    return saved


def cut(name: str) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def changed(name: str, *path: Any) -> Damage:
    """Another value at the end of a path of keys."""
    *keys, last, value = path

    def damage(folder: Path) -> None:
        layout = json.loads((folder / name).read_text())
        part = layout
        for key in keys:
            part = part[key]
        part[last] = value
        (folder / name).write_text(json.dumps(layout))

    return damage


def legacy(vocabulary: str, merges: str) -> Damage:
    """The two files that GPT-2 came with, in place of tokenizer.json."""

    def damage(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.json").write_text(vocabulary)
        (folder / "merges.txt").write_text(merges)
        config = {"tokenizer_class": "GPT2Tokenizer"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))

    return damage


def prefix(folder: Path) -> None:
    """Input that the library did not foresee: it panics."""
    layout = json.loads(kinds.byte_level().to_str())
    layout["model"]["continuing_subword_prefix"] = "####"
    (folder / "tokenizer.json").write_text(json.dumps(layout))


def pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def nested(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("[" * 100_000)


WORDS = '{"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}'
DAMAGED: dict[str, tuple[Damage, str]] = {
    "cut": (cut("tokenizer.json"), "tokenizer.json is not JSON"),
    "cut configuration": (cut("tokenizer_config.json"), "tokenizer_config.json is not JSON"),
    "another type": (changed("tokenizer.json", "model", "type", "NewModel"), "did not match any"),
    "a number": (changed("tokenizer.json", "model", 5), "cannot be loaded"),
    "no model": (changed("tokenizer.json", "model", None), "cannot be loaded"),
    "a list": (changed("tokenizer.json", "model", "vocab", [1, "a"]), "cannot be loaded"),
    "negative": (changed("tokenizer.json", "model", "vocab", "12", -1), "cannot be loaded"),
    "beyond": (changed("tokenizer.json", "model", "vocab", "12", 2**31), "the id 2147483648"),
    "configuration": (changed("tokenizer_config.json", "tokenizer_class", 5), "cannot be loaded"),
    "eos": (changed("tokenizer_config.json", "eos_token", [1]), "cannot be loaded"),
    "vocab.json": (legacy(WORDS[:20], "#version: 0.2\na b\n"), "vocab.json is not JSON"),
    "vocab.json, a list": (legacy("[1, 2]", "#version: 0.2\na b\n"), "cannot be loaded"),
    "merges.txt": (legacy(WORDS, "#version: 0.2\na b c d\n"), "Merges text file invalid"),
    "merge of what is not there": (legacy(WORDS, "#version: 0.2\na z\n"), "cannot be loaded"),
    "pipe": (pipe, "tokenizer.json is not a file"),
    "nested": (nested, "cannot be loaded"),
    "panic": (prefix, "cannot be loaded"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_end_in_one_line(folder: Path, name: str) -> None:
    damage, reason = DAMAGED[name]
    damage(folder)
    with pytest.raises(ValueError, match=r"data\.tokenizer_name_or_path=") as caught:
        make_tokenizer(str(folder))
    assert reason in str(caught.value) and str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("known", [True, False])
def test_code_in_a_folder_is_never_run_nor_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr("builtins.input", lambda *text: pytest.fail("asked"))
    config: dict[str, Any] = {"auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}
    if known:
        config["tokenizer_class"] = "Own"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(ValueError, match=r"brings code of its own \(auto_map\)") as caught:
        make_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value) and not (tmp_path / "ran").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("sentencepiece") is not None, reason="sentencepiece is installed"
)
@pytest.mark.parametrize("name", ["tokenizer.model", "spiece.model"])
def test_a_sentencepiece_model_alone_says_what_it_needs(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"\x0a\x05nope")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    with pytest.raises(ValueError, match=f"{name} alone needs the package sentencepiece"):
        make_tokenizer(str(tmp_path))
    assert capfd.readouterr() == ("", "")


def no_unknown() -> PretrainedTokenizer:
    made = Backend(models.WordLevel(kinds.numbered([*"123", "12"]), unk_token="[NONE]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return kinds.tokenizer(made)


def test_a_word_without_a_token_is_named() -> None:
    tokenizer = no_unknown()
    assert tokenizer.encode_batch(["1 2 12"])[0].tolist() == [2, 3, 5]
    for encode in (lambda text: tokenizer.encode_batch(["1", text]), tokenizer.encode_within):
        with pytest.raises(ValueError, match=r"tokenizer_name_or_path='kind'.*'1 3 \.'") as caught:
            encode("1 3 . 2 . 2")
        assert "\n" not in str(caught.value) and "[UNK]" in str(caught.value)
    with pytest.raises(ValueError, match=r"for ' 3 3 3 3 3 3 3 3 3 x'"):
        tokenizer.encode_batch(["3 " * 5000 + "x" + " 3" * 5000])


def test_a_corpus_with_such_a_word_is_refused_in_a_line(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("1 2 3 . 1")
    corpus = TextCorpus(str(text), str(text), "text", "tail", 0.1)
    with pytest.raises(ValueError, match=r"it has no tokens for '1 2 3 \.'"):
        build_or_open(tmp_path / "cache", corpus, "valid", no_unknown(), False, 1)
    assert not list((tmp_path / "cache").glob("valid-*/"))
