"""Passes over the blocks of a text: the nats of every sequence in each, kept on disk meanwhile."""

import io
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from algos.base import FIRST, Algorithm, Batch, Draws, moved
from data.module import TokenDataModule
from evaluation.batch_cache import BatchCache
from evaluation.perplexity import Pass, in_order, sequence_rows
from training.agreement import Agreement, gathered
from training.signals import StopSignals

SAVE_SECONDS = 30.0  # of work that a kill may cost

Rows = NDArray[np.float64]  # (n, 4): index, nats, scored tokens, network evaluations
# a batch -> nats (B, L), network evaluations (B,)
Exact = Callable[[Batch], tuple[Tensor, Tensor]]


@dataclass
class CachedPass:
    """The rows of the first batches of a pass on one process, and whether those are all."""

    name: str
    rows: list[Rows] = field(default_factory=list)
    whole: bool = False
    written: bool = True

    @classmethod
    def of(cls, name: str, content: bytes) -> "CachedPass":
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = np.split(arrays["rows"], np.cumsum(arrays["lengths"]))[:-1]
            return cls(name, rows, bool(arrays["whole"]))

    def content(self) -> bytes:
        stream = io.BytesIO()
        lengths = np.array([len(part) for part in self.rows], dtype=np.int64)
        rows = np.concatenate([np.empty((0, 4)), *self.rows])
        np.savez(stream, rows=rows, lengths=lengths, whole=np.array(self.whole))
        return stream.getvalue()


class PassEvaluator(L.LightningModule):
    """Evaluates the batches of each pass that the cache lacks; a process caches its own. A process
    alone ends after the batch in which it was asked to, several after the next one.

    Batches come in the same order and have the same texts whenever the same command is started, so
    the cached ones are the first ones of a pass, to the last bit.

    `exact` takes the place of the algorithm's own nats: those of an order, which need no second
    pass."""

    def __init__(
        self,
        algorithm: Algorithm,
        cache: BatchCache,
        signals: StopSignals,
        exact: Exact | None = None,
    ):
        super().__init__()
        self.exact = exact
        self.evaluations = 1.0  # of the network per text, in the newest pass
        self.algorithm, self.cache, self.signals = algorithm, cache, signals
        self.common = 0  # batches that every process has
        self.passes: list[CachedPass] = []  # of this process, not on disk yet
        self.ready = 0  # passes
        self.draws = FIRST
        self.agreement = Agreement()  # of all processes, on whether one was asked to stop
        self._last = time.monotonic()

    def evaluate(
        self,
        trainer: L.Trainer,
        data: TokenDataModule,
        passes: int,
        times: Sequence[float] | None,
    ) -> list[Pass] | None:
        """So many passes over the blocks of `data`, one where the nats are exact, with noise levels
        in `times`; None on every process but the first."""
        count = passes if self.algorithm.nll_is_bound and self.exact is None else 1
        # One process stops anywhere; several after a batch, where they agree.
        with self.signals.deferred() if trainer.world_size > 1 else nullcontext():
            draws = [Draws(number, count, times) for number in range(count)]
            results = [self.evaluate_pass(trainer, data, draw) for draw in draws]
        if not trainer.is_global_zero:
            return None
        data.trainer = None  # of all blocks, not of those of this process
        return results

    def evaluate_pass(self, trainer: L.Trainer, data: TokenDataModule, draws: Draws) -> Pass:
        """The pass of `draws`, on every process that of all."""
        self.draws, number = draws, draws.number
        parts = [self._cached(number, rank) for rank in range(trainer.world_size)]
        if not all(part.whole for part in parts):
            part = parts[trainer.global_rank]
            self.passes.append(part)
            trainer.validate(self, data, verbose=False)
            part.whole, part.written = True, False
            parts = gathered(part)
        self.ready = number + 1
        rows = np.concatenate([batch for part in parts for batch in part.rows])
        self.evaluations = float(rows[:, 3].mean()) if len(rows) else 0.0
        return in_order(torch.from_numpy(rows[:, :3]))

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        return moved(batch, device)

    def _cached(self, number: int, rank: int) -> CachedPass:
        name = f"pass-{number}-{rank}.npz"
        content = self.cache.read(name).get(name)
        return CachedPass(name) if content is None else CachedPass.of(name, content)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        part = self.passes[-1]
        if batch_idx < len(part.rows):
            return
        if self.exact is None:
            nats = self.algorithm.nll(batch, self.draws)
            calls = torch.ones(len(nats), device=nats.device)
        else:
            nats, calls = self.exact(batch)
        rows = sequence_rows(batch["index"], nats, self.algorithm.scored(batch))
        part.rows.append(torch.cat([rows, calls.double().unsqueeze(-1)], 1).cpu().numpy())
        part.written = False

    def on_validation_start(self) -> None:
        count = torch.tensor(int(sum(self.trainer.num_val_batches)), device=self.device)
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MIN)
        self.common = int(count)

    def on_validation_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if time.monotonic() - self._last > SAVE_SECONDS:
            self.save()
        if batch_idx < self.common and self.agreement.ask(self.signals.asked, self.device):
            self._stop()

    def on_validation_end(self) -> None:
        if self.agreement.look():
            self._stop()

    def _stop(self) -> None:
        self.save()
        self.trainer.strategy.barrier()  # a launcher may kill all when one has ended
        self.signals.look(lambda here: True)

    def save(self) -> None:
        """Writes what is not on disk yet."""
        for part in self.passes:
            if not part.written:
                self.cache.write(part.name, part.content())
                part.written = True
        self.passes = self.passes[-1:]
        self._last = time.monotonic()
