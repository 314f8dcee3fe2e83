"""Loaders: the batches of a view as tensors, cut when they are asked for or by threads before."""

from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from data.packing import Arrays, View

Batch = dict[str, Tensor]
AHEAD = 2  # batches for each thread


class Loader:
    """Batches of the view in the sampler's order, the same for any number of workers. These are
    threads: cutting is numpy's and the disk's work, in which Python goes on."""

    def __init__(self, view: View, sampler: Iterable[list[int]], num_workers: int) -> None:
        # Lightning takes an attribute `sampler` for that of its own loaders.
        self._view, self._sampler, self.num_workers = view, sampler, num_workers

    def __len__(self) -> int:
        """The number of batches; TypeError where there is no end."""
        if not isinstance(self._sampler, Sized):
            raise TypeError("these batches have no end")
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        here = self.num_workers == 0
        return map(tensors, map(self._view.batch, self._sampler) if here else self._ahead())

    def _ahead(self) -> Iterator[Arrays]:
        waiting: deque[Future[Arrays]] = deque()
        threads = ThreadPoolExecutor(self.num_workers)
        try:
            for numbers in self._sampler:
                waiting.append(threads.submit(self._view.batch, numbers))
                if len(waiting) > AHEAD * self.num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)  # an end before the last batch waits for no other


def tensors(batch: Arrays) -> Batch:
    """A batch as tensors, in memory that a GPU copies from by itself where there is one."""
    unpinned = {name: torch.from_numpy(array) for name, array in batch.items()}
    if not torch.cuda.is_available():
        return unpinned
    return {name: tensor.pin_memory() for name, tensor in unpinned.items()}
