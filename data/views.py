"""Whole batches by number: of the examples of a training run, or of the blocks to evaluate."""

from typing import Protocol

import numpy as np

from data.order import TrainOrder
from data.packing import Arrays, Blocks


class View(Protocol):
    """The source of a loader's batches; loader processes get a copy of it."""

    def batch(self, numbers: list[int]) -> Arrays:
        """The arrays of `Blocks.batch`, and `index`, the numbers."""


class TrainView:
    """Blocks by example number j of the run; `index` is j."""

    def __init__(self, blocks: Blocks, order: TrainOrder) -> None:
        self.blocks, self.order = blocks, order

    def batch(self, numbers: list[int]) -> Arrays:
        """See `View.batch`."""
        index = np.array(numbers, dtype=np.int64)
        return {**self.blocks.batch(*self.order.locate(index)), "index": index}


class EvalView:
    """Blocks by their number; `index` is that number."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def batch(self, numbers: list[int]) -> Arrays:
        """See `View.batch`."""
        index = np.array(numbers, dtype=np.int64)
        return {**self.blocks.batch(index, np.zeros_like(index)), "index": index}
