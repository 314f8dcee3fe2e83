"""Views of blocks that return whole batches, and the DataLoader over them.

Apart from the module, so that loader processes need not import lightning.
"""

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from data.order import EvalSampler, StepSampler, TrainOrder
from data.packing import Batch, Blocks


class TrainView(Dataset):
    """Blocks by example number j of the run; `index` is j."""

    def __init__(self, blocks: Blocks, order: TrainOrder) -> None:
        self.blocks, self.order = blocks, order

    def __getitems__(self, examples: list[int]) -> Batch:
        index = np.array(examples, dtype=np.int64)
        batch = self.blocks.batch(*self.order.locate(index))
        return {**batch, "index": torch.from_numpy(index)}


class EvalView(Dataset):
    """Blocks by their number; `index` is that number."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def __getitems__(self, blocks: list[int]) -> Batch:
        index = np.array(blocks, dtype=np.int64)
        batch = self.blocks.batch(index, np.zeros_like(index))
        return {**batch, "index": torch.from_numpy(index)}


def _whole(batch: Any) -> Any:
    """The views return whole batches already, so there is nothing to collate."""
    return batch


def make_loader(view: Dataset, sampler: StepSampler | EvalSampler, num_workers: int) -> DataLoader:
    """Batches of the view in the sampler's order, the same for any number of workers."""
    workers = num_workers > 0
    return DataLoader(
        view,
        batch_sampler=sampler,
        collate_fn=_whole,
        num_workers=num_workers,
        persistent_workers=workers,
        # Not a fork: this process has threads by now, and their locks would be copied.
        multiprocessing_context="forkserver" if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
