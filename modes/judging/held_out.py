"""Held-out text, cut as the texts of a run are: what samples are held against."""

from typing import NamedTuple

import numpy as np

from modes import build

MOST = 1000  # texts, at equal distances


class HeldOut(NamedTuple):
    """Token ids of full blocks, BOS and all, and the checksum of the tokens they were cut from."""

    rows: list[list[int]]
    tokens_sha256: str


def held_out(settings: build.Settings, run: build.Settings) -> HeldOut | None:
    """Blocks of the validation text of `run`'s data; None where eval.reference is false."""
    if not settings["eval"]["reference"]:
        return None
    data = build.data(run, devices=1)
    blocks = data.blocks("valid")
    count = min(MOST, len(blocks))
    batch = blocks.batch(np.arange(count) * len(blocks) // count, np.zeros(count, dtype=np.int64))
    whole = batch["noised"][:, 1:].all(-1)  # not the last one, where it is filled up
    return HeldOut(batch["tokens"][whole].tolist(), data.store("valid").sha256)


def held_out_rows(settings: build.Settings, run: build.Settings) -> list[list[int]] | None:
    """The rows of `held_out` alone."""
    found = held_out(settings, run)
    return None if found is None else found.rows
