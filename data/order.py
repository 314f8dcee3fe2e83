"""The training stream as a function of (seed, step), whatever the number of processes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


class TrainOrder:
    """Example j of the run is block perm_e[j mod n] of epoch e = j // n. Each epoch's permutation
    of the n blocks is drawn from (seed, e) alone."""

    def __init__(self, blocks: int, seed: int) -> None:
        self.blocks, self.seed = blocks, seed

    def locate(self, examples: Index) -> tuple[Index, Index]:
        """(B,) block numbers and (B,) epochs of (B,) example numbers."""
        epochs, places = np.divmod(examples, self.blocks)
        blocks = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            blocks[here] = _permutation(self.blocks, self.seed, epoch)[places[here]]
        return blocks, epochs


@lru_cache(maxsize=2)  # a batch touches two epochs at most; older ones never come back
def _permutation(blocks: int, seed: int, epoch: int) -> NDArray[np.integer]:
    bits = np.random.Philox(np.random.SeedSequence([seed, epoch]))
    narrow = np.uint32 if blocks < 1 << 32 else np.uint64
    order: NDArray[np.integer] = np.arange(blocks).astype(narrow)
    np.random.Generator(bits).shuffle(order)
    return order


def accumulation(global_batch_size: int, batch_size: int, world_size: int) -> int:
    """Micro batches per optimizer step and device; ValueError where they do not divide."""
    together = batch_size * world_size
    if batch_size < 1 or global_batch_size < 1 or global_batch_size % together:
        raise ValueError(
            f"loader.global_batch_size={global_batch_size}: must be a positive multiple of "
            f"loader.batch_size={batch_size} times the number of devices, {world_size}"
        )
    return global_batch_size // together


class StepSampler:
    """The example numbers of one rank, micro batch by micro batch, for ever. Micro batch a of rank
    r in a step takes j = step * global_batch + (a * world + r) * batch + b, so the ranks of a step
    together take the same examples for any split of it."""

    def __init__(
        self, start_step: int, global_batch_size: int, batch_size: int, world_size: int, rank: int
    ) -> None:
        self.micro_batches = accumulation(global_batch_size, batch_size, world_size)
        self.start_step, self.global_batch_size = start_step, global_batch_size
        self.batch_size, self.world_size, self.rank = batch_size, world_size, rank

    def __iter__(self) -> Iterator[list[int]]:
        stride = self.batch_size * self.world_size
        first = self.start_step * self.global_batch_size + self.rank * self.batch_size
        while True:
            yield list(range(first, first + self.batch_size))
            # global_batch_size is a multiple of the stride: steps follow one another seamlessly.
            first += stride


class EvalSampler:
    """Blocks rank, rank + world, ... once each, in batches; nothing repeated, nothing dropped."""

    def __init__(self, blocks: Index, batch_size: int, world_size: int, rank: int) -> None:
        self.blocks = blocks[rank::world_size]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.blocks) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.blocks), self.batch_size):
            yield self.blocks[start : start + self.batch_size].tolist()


def by_length(rows: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """The numbers of the rows in batches of up to `size`, each of one length: the network is
    trained on full blocks, so none is filled up."""
    groups: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        groups[len(row)].append(number)
    return [
        group[start : start + size]
        for _, group in sorted(groups.items())
        for start in range(0, len(group), size)
    ]
