"""The digest of a tokenizer: another one whenever ids or texts may differ, the same one wherever
it lies and however it was saved."""

import copy
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from data.build import build_or_open
from data.corpora import TextCorpus
from data.pretrained import PretrainedTokenizer
from data.tokenizers import make_tokenizer

Layout = dict[str, Any]
Change = Callable[[Layout], None]
SPECIAL = {"bos": None, "eos": 0, "cls": None, "sep": None, "pad": None, "mask": None}
LETTERS = {letter: 2 + place for place, letter in enumerate("abcdefgh ")}


def bpe() -> Backend:
    vocabulary = {"<s>": 0, "<unk>": 1, **LETTERS}
    size = len(vocabulary)
    vocabulary |= {f"<0x{byte:02X}>": size + byte for byte in range(256)}
    vocabulary |= {"ab": size + 256, "bc": size + 257, "abc": size + 258}
    made = Backend(models.BPE(vocabulary, [("b", "c"), ("a", "b"), ("a", "bc")], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.normalizer = normalizers.NFC()
    made.add_special_tokens([AddedToken("<s>", special=True)])
    made.add_tokens([AddedToken("hee", normalized=False)])
    return made


def no_merges() -> Backend:
    return Backend(models.BPE({"<s>": 0, "a": 1, "##a": 2}, []))


def wordpiece() -> Backend:
    vocabulary = {"<s>": 0, "[UNK]": 1, **LETTERS, "##a": 20, "##b": 21}
    made = Backend(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.normalizer = normalizers.BertNormalizer()
    return made


def unigram() -> Backend:
    pieces = [("<s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("a", -2.0), ("▁a", -3.0), ("b", -4.0)]
    made = Backend(models.Unigram(pieces, 1, False))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    return made


def wordlevel() -> Backend:
    made = Backend(models.WordLevel({"<s>": 0, "[UNK]": 1, **LETTERS}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def put(*path: Any) -> Change:
    """Sets the value at the end of a path of keys."""
    *keys, last, value = path

    def change(layout: Layout) -> None:
        part: Any = layout
        for key in keys:
            part = part[key]
        assert part.get(last) != value
        part[last] = value

    return change


def swap_scores(layout: Layout) -> None:
    vocabulary = layout["model"]["vocab"]
    vocabulary[3][1], vocabulary[5][1] = vocabulary[5][1], vocabulary[3][1]


def swap_ids(layout: Layout) -> None:
    vocabulary = layout["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]


OTHERS: dict[str, tuple[Callable[[], Backend], Change]] = {
    "byte_fallback": (bpe, put("model", "byte_fallback", True)),
    "unk_token": (bpe, put("model", "unk_token", "b")),
    "no unk_token": (bpe, put("model", "unk_token", None)),
    "ignore_merges": (bpe, put("model", "ignore_merges", True)),
    "fuse_unk": (bpe, put("model", "fuse_unk", True)),
    "dropout": (bpe, put("model", "dropout", 0.5)),
    "continuing_subword_prefix": (no_merges, put("model", "continuing_subword_prefix", "##")),
    "end_of_word_suffix": (bpe, put("model", "end_of_word_suffix", "</w>")),
    "order of merges": (bpe, lambda layout: layout["model"]["merges"].reverse()),
    "ids": (wordlevel, swap_ids),
    "special": (bpe, put("added_tokens", 1, "special", True)),
    "lstrip": (bpe, put("added_tokens", 1, "lstrip", True)),
    "rstrip": (bpe, put("added_tokens", 1, "rstrip", True)),
    "single_word": (bpe, put("added_tokens", 1, "single_word", True)),
    "normalized": (bpe, put("added_tokens", 1, "normalized", True)),
    "no added token": (bpe, lambda layout: layout["added_tokens"].pop()),
    "normalizer": (bpe, put("normalizer", "type", "NFD")),
    "add_prefix_space": (bpe, put("pre_tokenizer", "add_prefix_space", True)),
    "use_regex": (bpe, put("pre_tokenizer", "use_regex", False)),
    "decoder": (bpe, put("decoder", {"type": "Fuse"})),
    "WordPiece unk_token": (wordpiece, put("model", "unk_token", "a")),
    "WordPiece prefix": (wordpiece, put("model", "continuing_subword_prefix", "@@")),
    "WordPiece longest word": (wordpiece, put("model", "max_input_chars_per_word", 3)),
    "WordPiece cleanup": (wordpiece, put("decoder", "cleanup", False)),
    "lowercase": (wordpiece, put("normalizer", "lowercase", False)),
    "strip_accents": (wordpiece, put("normalizer", "strip_accents", False)),
    "Unigram scores": (unigram, swap_scores),
    "Unigram unk_id": (unigram, put("model", "unk_id", 3)),
    "Unigram byte_fallback": (unigram, put("model", "byte_fallback", True)),
    "prepend_scheme": (unigram, put("pre_tokenizer", "prepend_scheme", "never")),
    "WordLevel unk_token": (wordlevel, put("model", "unk_token", "a")),
}


def renamed_processor(layout: Layout) -> None:
    layout["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    }


SAME: dict[str, Change] = {
    "post_processor": renamed_processor,
    "truncation": put(
        "truncation",
        {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
    ),
    "padding": put(
        "padding",
        {
            "strategy": {"Fixed": 9},
            "direction": "Left",
            "pad_to_multiple_of": None,
            "pad_id": 1,
            "pad_type_id": 0,
            "pad_token": "a",
        },
    ),
    "trim_offsets": put("pre_tokenizer", "trim_offsets", False),
    "unread fields of a decoder": put("decoder", "use_regex", False),
    "merges as strings": lambda layout: layout["model"].update(
        merges=[" ".join(pair) for pair in layout["model"]["merges"]]
    ),
    "order of keys": lambda layout: layout.update(
        model=dict(reversed(layout["model"].items())),
    ),
    "order of the vocabulary": lambda layout: layout["model"].update(
        vocab=dict(reversed(layout["model"]["vocab"].items()))
    ),
    "order of added tokens": lambda layout: layout["added_tokens"].reverse(),
}


def of(layout: Layout) -> PretrainedTokenizer:
    return PretrainedTokenizer("x", Backend.from_str(json.dumps(layout)), SPECIAL)


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_may_decide_ids_or_texts_is_in_the_digest(name: str) -> None:
    make, change = OTHERS[name]
    layout: Layout = json.loads(make().to_str())
    other = copy.deepcopy(layout)
    change(other)
    assert of(other).digest != of(layout).digest


@pytest.mark.parametrize("name", SAME)
def test_what_decides_neither_ids_nor_texts_is_not(name: str) -> None:
    layout: Layout = json.loads(bpe().to_str())
    other = copy.deepcopy(layout)
    SAME[name](other)
    one, two = of(layout), of(other)
    assert one.digest == two.digest
    text = "a abc hee  <s> b" * 3
    ids = one.encode_batch([text])[0].tolist()
    assert ids == two.encode_batch([text])[0].tolist()
    assert one.decode(ids) == two.decode(ids)


def test_special_ids_are_in_the_digest() -> None:
    layout: Layout = json.loads(bpe().to_str())
    digests = set()
    for changed in ({}, {"eos": 1}, {"bos": 2}, {"pad": 3}, {"mask": 4}):
        backend = Backend.from_str(json.dumps(layout))
        digests.add(PretrainedTokenizer("x", backend, {**SPECIAL, **changed}).digest)
    assert len(digests) == 5


@pytest.mark.parametrize("make", [bpe, wordpiece, unigram, wordlevel])
def test_saved_again_and_elsewhere_it_is_the_same(
    tmp_path: Path, make: Callable[[], Backend]
) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder, digests = tmp_path / "0", set()
    PreTrainedTokenizerFast(tokenizer_object=make(), eos_token="<s>").save_pretrained(folder)
    for number in range(1, 4):
        digests.add(make_tokenizer(str(folder)).digest)
        again = AutoTokenizer.from_pretrained(folder)
        folder = tmp_path / str(number)
        again.save_pretrained(folder)
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased"])
def test_the_files_of_a_published_tokenizer_agree(shared: Path, tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    original = str(shared / "tokenizers" / name)
    AutoTokenizer.from_pretrained(original).save_pretrained(tmp_path / "saved")
    assert make_tokenizer(original).digest == make_tokenizer(str(tmp_path / "saved")).digest


def test_another_tokenizer_has_another_store(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("abc hee xyz")
    corpus = TextCorpus(str(text), str(text), "text", "tail", 0.1)
    layout: Layout = json.loads(bpe().to_str())
    layout["pre_tokenizer"] = None  # or every byte has a letter
    other = copy.deepcopy(layout)
    other["model"]["byte_fallback"] = True
    stores = [
        build_or_open(tmp_path / "cache", corpus, "valid", of(one), False, 1)
        for one in (layout, other)
    ]
    assert stores[0].folder != stores[1].folder
    assert stores[0].tokens.tolist() != stores[1].tokens.tolist()


def test_dropout_is_turned_off_with_a_line(caplog: pytest.LogCaptureFixture) -> None:
    layout: Layout = json.loads(bpe().to_str())
    layout["model"]["dropout"] = 0.5
    with caplog.at_level(logging.WARNING):
        tokenizer = of(layout)
    assert "dropout=0.5 is turned off" in caplog.text and len(caplog.records) == 1
    ids = {tuple(tokenizer.encode_batch(["abc abc abc"])[0].tolist()) for _ in range(50)}
    within = {tuple(tokenizer.encode_within("abc abc abc").tolist()) for _ in range(50)}
    assert len(ids) == 1 and within == ids


def test_the_digest_does_not_depend_on_the_process(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(bpe().to_str())
    code = (
        "import sys; from tokenizers import Tokenizer; "
        "from data.pretrained import PretrainedTokenizer as P; "
        f"print(P('x', Tokenizer.from_file(sys.argv[1]), {SPECIAL}).digest)"
    )
    run = [sys.executable, "-c", code, str(file)]
    other = subprocess.run(run, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == of(json.loads(file.read_text())).digest
