"""Loaders: the batches of a view as tensors, cut here or by processes ahead of time."""

from collections.abc import Iterable, Iterator, Sized

import torch
from torch import Tensor

from data.packing import Arrays, View
from data.workers import Workers

Batch = dict[str, Tensor]


class Loader:
    """Batches of the view in the sampler's order, the same for any number of workers."""

    def __init__(self, view: View, sampler: Iterable[list[int]], num_workers: int) -> None:
        # Lightning takes an attribute `sampler` for that of its own loaders.
        self._view, self._sampler, self.num_workers = view, sampler, num_workers
        self._idle: list[Workers] = []

    def __len__(self) -> int:
        """The number of batches; TypeError where there is no end."""
        if not isinstance(self._sampler, Sized):
            raise TypeError("these batches have no end")
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        here = self.num_workers == 0
        return map(tensors, map(self._view.batch, self._sampler) if here else self._from_workers())

    def _from_workers(self) -> Iterator[Arrays]:
        """The processes stay for the next time, unless these batches are left before the last."""
        count = len(self._sampler) if isinstance(self._sampler, Sized) else None
        workers = self._idle.pop() if self._idle else Workers(self._view, self.num_workers)
        free = False
        try:
            for number, batch in enumerate(workers.batches(self._sampler, count), start=1):
                if number == count:
                    self._idle.append(workers)
                    free = True
                yield batch
        finally:
            if not free:
                workers.close()


def tensors(batch: Arrays) -> Batch:
    """A batch as tensors, in memory that a GPU copies from by itself where there is one."""
    unpinned = {name: torch.from_numpy(array) for name, array in batch.items()}
    if not torch.cuda.is_available():
        return unpinned
    return {name: tensor.pin_memory() for name, tensor in unpinned.items()}
