"""Packing: every token once, the frame's masks, padding, crops."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.build import build_or_open
from data.corpora import TextCorpus
from data.packing import FRAMINGS, Arrays, Framer, PadBlocks, WrapBlocks
from data.store import TokenStore
from data.tokenizers import make_tokenizer

BYTES = make_tokenizer("bytes")
DOCUMENTS = ["first document", "2nd", "a third and much longer document than others", "x"]


def store_of(folder: Path, texts: list[str], insert_eos: bool) -> TokenStore:
    files = folder / "texts"
    files.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (files / f"{number:04d}.txt").write_text(text)
    corpus = TextCorpus(str(files), str(files), "text", "tail", 0.1)
    return build_or_open(folder / "cache", corpus, "train", BYTES, insert_eos, 1)


def all_of(blocks: WrapBlocks | PadBlocks, epoch: int = 0) -> Arrays:
    index = np.arange(len(blocks))
    return blocks.batch(index, np.full_like(index, epoch))


@pytest.mark.parametrize(
    ("framing", "length", "insert_eos"),
    list(itertools.product(FRAMINGS, (3, 8, 16, 1000), (True, False))),
)
def test_wrap_holds_every_token_once(
    tmp_path: Path, framing: str, length: int, insert_eos: bool
) -> None:
    store = store_of(tmp_path, DOCUMENTS, insert_eos)
    batch = all_of(WrapBlocks(store, Framer(length, framing, BYTES), drop_last=False))
    stream = []
    head, tail = FRAMINGS[framing]
    for row, noised in zip(batch["tokens"].tolist(), batch["noised"].tolist(), strict=True):
        used = sum(noised) + (framing == "bos")
        assert row[:head] == [BYTES.bos] * head and row[used - tail : used] == [BYTES.eos] * tail
        assert row[used:] == [BYTES.pad] * (length - used)
        stream += row[head : used - tail]
    assert stream == store.tokens.tolist()
    assert np.array_equal(batch["scored"], batch["noised"])
    extra = 0 if framing == "bos" else (head + tail) * len(batch["tokens"])
    assert batch["scored"].sum() == store.meta["tokens"] + extra
    assert [batch[key].dtype for key in ("tokens", "scored")] == [np.int64, np.bool_]


def test_wrapped_text_decodes_to_the_text(tmp_path: Path) -> None:
    store = store_of(tmp_path, DOCUMENTS, insert_eos=True)
    batch = all_of(WrapBlocks(store, Framer(8, "bos", BYTES), drop_last=False))
    assert BYTES.decode(batch["tokens"].ravel()) == "".join(DOCUMENTS)
    shown = BYTES.decode(batch["tokens"][batch["scored"]], special=True)
    assert shown == "".join(f"{text}<|endoftext|>" for text in DOCUMENTS)


def test_wrap_masks_of_the_three_framings(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["abcdefg"], insert_eos=False)
    expected = {
        "bos": ([[256, 97, 98, 99], [256, 100, 101, 102], [256, 103, 256, 256]], "0111 0111 0100"),
        "bos-eos": (
            [[256, 97, 98, 256], [256, 99, 100, 256], [256, 101, 102, 256], [256, 103, 256, 256]],
            "1111 1111 1111 1110",
        ),
        "none": ([[97, 98, 99, 100], [101, 102, 103, 256]], "1111 1110"),
    }
    for framing, (tokens, masks) in expected.items():
        batch = all_of(WrapBlocks(store, Framer(4, framing, BYTES), drop_last=False))
        assert batch["tokens"].tolist() == tokens
        mask = [[bit == "1" for bit in row] for row in masks.split()]
        assert batch["scored"].tolist() == batch["noised"].tolist() == mask


def test_drop_last_leaves_out_the_partial_block_only(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["abcdefg"], insert_eos=False)
    framer = Framer(4, "bos", BYTES)
    kept, dropped = WrapBlocks(store, framer, False), WrapBlocks(store, framer, True)
    assert (len(kept), len(dropped)) == (3, 2)
    assert np.array_equal(all_of(kept)["tokens"][:2], all_of(dropped)["tokens"])
    exact = WrapBlocks(store_of(tmp_path, ["abcdef"], False), framer, False)
    assert len(exact) == 2 and all_of(exact)["scored"][:, 1:].all()


def test_any_order_of_blocks_gives_the_same_rows(tmp_path: Path) -> None:
    store = store_of(tmp_path, DOCUMENTS, insert_eos=True)
    for blocks in (
        WrapBlocks(store, Framer(8, "bos-eos", BYTES), False),
        PadBlocks(store, Framer(8, "bos", BYTES), True, "random", seed=0),
    ):
        order = np.random.default_rng(0).permutation(len(blocks))
        whole, shuffled = all_of(blocks), blocks.batch(order, np.zeros_like(order))
        for key, value in whole.items():
            assert np.array_equal(value[order], shuffled[key])


@pytest.mark.parametrize(
    ("framing", "insert_eos", "rows"),
    [
        ("bos", True, [[256, 97, 98, 256, 256], [256, 99, 256, 256, 256]]),
        ("bos", False, [[256, 97, 98, 256, 256], [256, 99, 256, 256, 256]]),
        ("bos-eos", True, [[256, 97, 98, 256, 256], [256, 99, 256, 256, 256]]),
        ("bos-eos", False, [[256, 97, 98, 256, 256], [256, 99, 256, 256, 256]]),
        ("none", False, [[97, 98, 256, 256, 256], [99, 256, 256, 256, 256]]),
    ],
)
def test_pad_scores_the_document_and_noises_its_padding(
    tmp_path: Path, framing: str, insert_eos: bool, rows: list[list[int]]
) -> None:
    store = store_of(tmp_path, ["ab", "c"], insert_eos)
    batch = all_of(PadBlocks(store, Framer(5, framing, BYTES), insert_eos, "start", 0))
    assert batch["tokens"].tolist() == rows
    ends = insert_eos or framing == "bos-eos"
    head = framing == "bos-eos"
    assert batch["scored"].sum(1).tolist() == [2 + ends + head, 1 + ends + head]
    assert batch["noised"].sum(1).tolist() == [5 - (framing == "bos")] * 2
    assert not (batch["scored"] & ~batch["noised"]).any()


def test_crops_from_the_start_and_at_random(tmp_path: Path) -> None:
    text = "".join(map(chr, range(33, 127)))
    store = store_of(tmp_path, [text] * 50, insert_eos=False)
    framer = Framer(11, "bos", BYTES)
    start = all_of(PadBlocks(store, framer, False, "start", 0))["tokens"][:, 1:]
    assert {BYTES.decode(row) for row in start} == {text[:10]}
    blocks = PadBlocks(store, framer, False, "random", 7)
    places = []
    for epoch in range(40):
        rows = all_of(blocks, epoch)["tokens"][:, 1:]
        assert all(BYTES.decode(row) in text for row in rows)
        places += (rows[:, 0] - 33).tolist()
    counts = np.bincount(places, minlength=85)
    assert len(counts) == 85
    chi_square = ((counts - 2000 / 85) ** 2 / (2000 / 85)).sum()
    assert chi_square < 84 + 5 * np.sqrt(2 * 84)
    again = PadBlocks(store, framer, False, "random", 7)
    other = PadBlocks(store, framer, False, "random", 8)
    assert np.array_equal(all_of(blocks, 3)["tokens"], all_of(again, 3)["tokens"])
    assert not np.array_equal(all_of(blocks, 3)["tokens"], all_of(blocks, 4)["tokens"])
    assert not np.array_equal(all_of(blocks, 3)["tokens"], all_of(other, 3)["tokens"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"framing": "cls"}, r"data\.framing='cls': choose from bos, bos-eos, none"),
        ({"length": 1, "framing": "none"}, r"model\.length=1: at least 2"),
        ({"length": 1}, r"model\.length=1: at least 2"),
        ({"length": 2, "framing": "bos-eos"}, r"model\.length=2: at least 3"),
    ],
)
def test_bad_frames_are_refused(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Framer(**{"length": 8, "framing": "bos", "tokenizer": BYTES, **arguments})
