"""Held-out text, cut as the texts of a run are: what samples are held against."""

from typing import NamedTuple

import numpy as np

from data.module import TokenDataModule

MOST = 1000  # texts, at equal distances


class HeldOut(NamedTuple):
    """Token ids of full blocks, BOS and all, and the checksum of the tokens they were cut from."""

    rows: list[list[int]]
    tokens_sha256: str


def held_out(data: TokenDataModule) -> HeldOut:
    """Blocks of the validation text."""
    blocks = data.blocks("valid")
    count = min(MOST, len(blocks))
    batch = blocks.batch(np.arange(count) * len(blocks) // count, np.zeros(count, dtype=np.int64))
    whole = batch["noised"][:, 1:].all(-1)  # not the last one, where it is filled up
    return HeldOut(batch["tokens"][whole].tolist(), data.store("valid").sha256)
