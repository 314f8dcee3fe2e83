"""Overlapping blocks: every token scored once, with its context before it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.build import build_or_open
from data.corpora import TextCorpus
from data.module import TokenDataModule
from data.packing import Arrays, Framer, WrapBlocks
from data.store import TokenStore
from data.tokenizers import make_tokenizer

BYTES = make_tokenizer("bytes")
LENGTH = 16


def store_of(folder: Path, characters: int) -> TokenStore:
    file = folder / "text.txt"
    file.write_text("".join(chr(33 + i % 90) for i in range(characters)))
    corpus = TextCorpus(str(file), str(file), "text", "tail", 0.1)
    return build_or_open(folder / "cache", corpus, "valid", BYTES, False, 1)


def all_of(blocks: WrapBlocks) -> Arrays:
    index = np.arange(len(blocks))
    return blocks.batch(index, np.zeros_like(index))


@pytest.mark.parametrize("characters", [3, 14, 15, 16, 100, 131])
@pytest.mark.parametrize("stride", [1, 4, 13, 14])
@pytest.mark.parametrize("framing", ["bos", "none"])
def test_every_token_is_scored_once_behind_its_context(
    tmp_path: Path, framing: str, stride: int, characters: int
) -> None:
    store = store_of(tmp_path, characters)
    framer = Framer(LENGTH, framing, BYTES)
    batch = all_of(WrapBlocks(store, framer, drop_last=False, stride=stride))
    assert batch["tokens"][batch["scored"]].tolist() == store.tokens.tolist()
    assert np.array_equal(batch["noised"], batch["scored"])
    text = store.tokens.tolist()
    for number, (row, scored) in enumerate(zip(batch["tokens"], batch["scored"], strict=True)):
        first = int(scored.argmax())
        assert scored.nonzero()[0].tolist() == list(range(first, first + scored.sum()))
        if number:
            assert first == LENGTH - stride
            assert scored.sum() <= stride
        start = number * stride
        assert (
            row[framer.head : first + scored.sum()].tolist()
            == text[start : start + first + int(scored.sum()) - framer.head]
        )
        assert (row[first + scored.sum() :] == BYTES.pad).all()
        assert (row[: framer.head] == BYTES.bos).all()


@pytest.mark.parametrize(("characters", "full"), [(14, 0), (15, 1), (18, 1), (19, 2), (100, 22)])
def test_the_partial_window_can_be_left_out(tmp_path: Path, characters: int, full: int) -> None:
    store, framer = store_of(tmp_path, characters), Framer(LENGTH, "bos", BYTES)
    blocks = WrapBlocks(store, framer, drop_last=True, stride=4)
    assert len(blocks) == blocks.full == full
    if full:
        scored = all_of(blocks)["scored"].sum(1).tolist()
        assert scored == [15] + [4] * (full - 1)


def test_the_training_blocks_do_not_overlap(
    make: Callable[..., TokenDataModule], text_file: Path
) -> None:
    data = make("text", path=str(text_file), stride=4)
    room = LENGTH - 1
    assert [data.blocks(split).stride for split in ("train", "valid")] == [room, 4]


@pytest.mark.parametrize("stride", [15, 16])
def test_a_stride_of_a_whole_block_is_none(
    make: Callable[..., TokenDataModule], text_file: Path, stride: int
) -> None:
    plain, own = (make("text", path=str(text_file), stride=one) for one in (None, stride))
    assert own.protocol() == plain.protocol()
    assert "stride" not in plain.protocol()
    for name, tensor in all_of(plain.blocks("valid")).items():
        assert np.array_equal(tensor, all_of(own.blocks("valid"))[name])
    assert make("text", path=str(text_file), stride=14).protocol()["stride"] == 14


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 0}, r"eval\.stride=0: from 1 to model\.length=16"),
        ({"stride": 17}, r"eval\.stride=17: from 1 to model\.length=16"),
        ({"stride": 4, "packing": "pad"}, r"eval\.stride=4: data\.packing=pad has one text"),
        ({"stride": 4, "framing": "bos-eos"}, r"eval\.stride=4: data\.framing=bos-eos would end"),
    ],
)
def test_what_cannot_slide_is_refused(
    make: Callable[..., TokenDataModule], text_file: Path, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make("text", path=str(text_file), **changes)
