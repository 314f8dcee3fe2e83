"""Held-out text, cut as the texts of a run are: what samples are held against."""

import numpy as np

from modes import build

MOST = 1000  # texts, at equal distances


def held_out_rows(settings: build.Settings, run: build.Settings) -> list[list[int]] | None:
    """Token ids of full blocks of the validation text of `run`'s data, BOS and all; None where
    eval.reference is false."""
    if not settings["eval"]["reference"]:
        return None
    blocks = build.data(run, devices=1).blocks("valid")
    count = min(MOST, len(blocks))
    batch = blocks.batch(np.arange(count) * len(blocks) // count, np.zeros(count, dtype=np.int64))
    whole = batch["noised"][:, 1:].all(-1)  # not the last one, where it is filled up
    return batch["tokens"][whole].tolist()
