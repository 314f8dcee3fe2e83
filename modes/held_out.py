"""Texts of a split, cut as the texts of a run are: the reference of samples."""

from typing import NamedTuple

import numpy as np

from data.module import TokenDataModule

MOST = 1000  # texts, at equal distances


class HeldOut(NamedTuple):
    """Token ids of full blocks, BOS and all, and the checksum of the tokens they were cut from."""

    rows: list[list[int]]
    tokens_sha256: str


def held_out(data: TokenDataModule) -> HeldOut:
    """At most MOST blocks of the validation text."""
    return HeldOut(spaced_texts(data, "valid", MOST), data.store("valid").sha256)


def spaced_texts(data: TokenDataModule, split: str, most: int) -> list[list[int]]:
    """The full ones among at most `most` blocks of a split, at equal distances."""
    blocks = data.blocks(split)
    count = min(most, len(blocks))
    batch = blocks.batch(
        np.arange(count, dtype=np.int64) * len(blocks) // count, np.zeros(count, dtype=np.int64)
    )
    whole = batch["noised"][:, 1:].all(-1)  # not the last one, where it is filled up
    rows: list[list[int]] = batch["tokens"][whole].tolist()
    return rows
