"""Batches of samples from a trained algorithm, each kept on disk until all are there."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from algos.base import Algorithm
from algos.calls import network_calls
from evaluation.batch_cache import BatchCache
from evaluation.samples_file import Correction, Text
from training.agreement import Agreement, gathered
from training.signals import StopSignals

NONE = -1  # the number of no batch


class SampleBatch(NamedTuple):
    """Finished texts, the network evaluations and positions they took, and the seconds."""

    texts: list[Text]
    evaluations: int
    positions: int
    seconds: float


# (algorithm, number of a batch) -> its texts, the same on whichever device
Make = Callable[[Algorithm, int], SampleBatch]


class Predicting(L.LightningModule):
    """Makes the batches whose numbers Lightning deals out to its process, and keeps them; ends
    after the batch in which any process was asked to stop, of several after the next one, if there
    is one."""

    def __init__(self, algorithm: Algorithm, make: Make, cache: BatchCache, signals: StopSignals):
        super().__init__()
        self.algorithm, self.make, self.cache, self.signals = algorithm, make, cache, signals
        self.finished: dict[int, SampleBatch] = {}
        self.agreement = Agreement()  # of all processes, on whether one was asked to stop

    def predict_step(self, number: Tensor, batch_idx: int) -> Tensor:
        index = int(number)
        if index != NONE:
            self.finished[index] = self.make(self.algorithm, index)
            keep_batch(self.cache, index, self.finished[index])
        return number  # Lightning warns of none

    def on_predict_batch_end(self, *_: Any) -> None:
        self.signals.look(lambda stop: self.agreement.ask(stop, self.device))

    def on_predict_end(self) -> None:
        self.signals.look(lambda stop: self.agreement.look())


def generate(
    trainer: L.Trainer,
    algorithm: Algorithm,
    make: Make,
    total: int,
    cache: BatchCache,
    most_calls: int,
    redraw_first: bool,
    signals: StopSignals,
) -> list[SampleBatch]:
    """The `total` batches, made by all devices, in the order of their numbers. Batches that a
    stopped run kept in the cache are taken as they are, the first one only without `redraw_first`;
    `most_calls` of the network for a batch give the time left."""
    world, kept = trainer.world_size, read_batches(cache)
    if kept and trainer.is_global_zero:
        print(f"{len(kept)} of {total} batches were drawn before: going on")
    signals.kept = _progress(cache, total)
    missing = [i for i in range(total) if i not in kept or (redraw_first and i == 0)]
    # As many for every process, one at least, so that they meet.
    numbers: Any = missing + (-len(missing) % world if missing else world) * [NONE]
    calls, hidden = len(numbers) // world * most_calls, not trainer.is_global_zero
    loader: Any = DataLoader(numbers, batch_size=1)
    predicting = Predicting(algorithm, make, cache, signals)
    with (
        tqdm(desc="network calls", total=calls, unit="call", disable=hidden) as bar,
        # One process stops anywhere; several between batches, where they agree.
        signals.deferred() if world > 1 else nullcontext(),
    ):
        try:
            with network_calls(algorithm, bar.update):
                trainer.predict(predicting, loader, return_predictions=False)
        finally:
            signals.kept = _progress(cache, total)
        for finished in gathered(predicting.finished):
            kept |= finished
    return [kept[number] for number in range(total)]


def _progress(cache: BatchCache, total: int) -> str:
    """The number of batches on disk, for the message of a command that was stopped."""
    ready = len(list(cache.folder.glob("[0-9]*.json")))
    return f"{ready} of {total} batches are kept; the same command goes on"


def keep_batch(cache: BatchCache, number: int, batch: SampleBatch) -> None:
    cache.write(f"{number}.json", json.dumps(batch).encode())


def read_batches(cache: BatchCache) -> dict[int, SampleBatch]:
    """Every whole batch in the cache, by number."""
    batches = {}
    for name, content in cache.read("[0-9]*.json").items():
        rows, *numbers = json.loads(content)
        texts = [Text(tokens, fixes and Correction(*fixes)) for tokens, fixes in rows]
        batches[int(name.removesuffix(".json"))] = SampleBatch(texts, *numbers)
    return batches
