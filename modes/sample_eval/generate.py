"""Batches of texts from a trained algorithm: sampled or taken as given, then self-corrected."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from diffusion.prediction import Prediction
from diffusion.times import seed_of
from evaluation.batch_cache import BatchCache
from modes.sample_eval.input_texts import Correction, Text
from modes.sample_eval.requests import Batch
from modes.sample_eval.resume import Made, keep, read_kept
from samplers.build import Counter, Samples
from samplers.self_correction import Corrected, self_correct
from training.signals import StopSignals

# (algorithm, tokens (B, L), fixed (B, L), number of the batch) -> texts (B, L)
Begin = Callable[[Algorithm, Tensor, Tensor, int], Samples]
# (algorithm, texts (B, L), fixed (B, L)) -> the corrected texts, and the network evaluations
Correct = Callable[[Algorithm, Tensor, Tensor], tuple[Corrected, int]]
NONE = -1  # the number of no batch


@dataclass(frozen=True)
class Drawing:
    """Makes batch `number` of the texts, the same on whichever device: `begin` draws or takes them,
    `correct` goes over them, `cache` keeps them; batch NONE is none."""

    batches: list[Batch]
    begin: Begin
    correct: Correct | None
    seed: int
    cache: BatchCache
    made: dict[int, Made] = field(default_factory=dict)

    def __call__(self, algorithm: Algorithm, number: int) -> None:
        if number == NONE:
            return
        torch.manual_seed(seed_of(self.seed, number))
        began = time.monotonic()
        batch = self.batches[number]
        fixed = torch.tensor(batch.fixed, device=algorithm.device)
        tokens = torch.tensor(batch.tokens, device=algorithm.device)
        tokens, evaluations = self.begin(algorithm, tokens, fixed, number)
        if self.correct is None:
            texts = [Text(row) for row in tokens.tolist()]
        else:
            corrected, more = self.correct(algorithm, tokens, fixed)
            evaluations += more
            columns = (column.tolist() for column in (tokens, *corrected[1:]))
            tokens = corrected.tokens
            texts = list(map(Text, tokens.tolist(), map(Correction, *columns)))
        self.made[number] = Made(texts, evaluations, time.monotonic() - began)
        keep(self.cache, number, self.made[number])


def as_given(algorithm: Algorithm, tokens: Tensor, fixed: Tensor, number: int) -> Samples:
    """A batch of finished texts."""
    return Samples(tokens, 0)


def correct(
    algorithm: Algorithm, z: Tensor, fixed: Tensor, **settings: Any
) -> tuple[Corrected, int]:
    """Texts (B, L) corrected where they are not `fixed` (B, L), and the network evaluations."""
    assert isinstance(algorithm, DiffusionAlgorithm)
    counter = Counter()

    def denoise(z: Tensor, t: Tensor) -> Prediction:
        return algorithm.prediction(algorithm.hidden(z, t))

    loop = counter.of(self_correct, 1)
    return loop(denoise, algorithm.process, z, fixed, **settings), counter.texts


class Predicting(L.LightningModule):
    """Draws the batches whose numbers Lightning deals out to its process."""

    def __init__(self, algorithm: Algorithm, drawing: Drawing):
        super().__init__()
        self.algorithm, self.drawing = algorithm, drawing

    def predict_step(self, number: Tensor, batch_idx: int) -> Tensor:
        self.drawing(self.algorithm, int(number))
        return number  # Lightning warns of none


class Looks(L.Callback):
    """Ends the drawing after a batch where any process was asked to stop."""

    def __init__(self, signals: StopSignals):
        self.signals = signals

    def on_predict_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        decide = trainer.strategy.reduce_boolean_decision
        self.signals.look(lambda own: decide(own, all=False))


def draw(
    trainer: L.Trainer,
    algorithm: Algorithm,
    drawing: Drawing,
    most: int,
    watched: bool,
    signals: StopSignals,
) -> list[Made]:
    """All batches, drawn by all devices, in the order of their numbers, those of a run that was
    stopped as they are, but for the first where it is `watched`; `most` network calls a batch, for
    the estimate of the time left."""

    def count(*_: Any) -> None:  # a value would replace the network's output
        bar.update()

    world = trainer.world_size
    done, total = read_kept(drawing.cache), len(drawing.batches)
    if done and trainer.is_global_zero:
        print(f"{len(done)} of {total} batches were drawn before: going on")
    signals.kept = _kept(drawing)
    missing = [number for number in range(total) if number not in done or (watched and not number)]
    # As many for every process, one at least, so that they meet.
    numbers: Any = missing + (-len(missing) % world if missing else world) * [NONE]
    loader: Any = DataLoader(numbers, batch_size=1)
    hidden = not trainer.is_global_zero
    with (
        tqdm(
            desc="network calls", total=len(numbers) // world * most, unit="call", disable=hidden
        ) as bar,
        # One process stops anywhere; several after a batch, where they agree.
        signals.deferred() if world > 1 else nullcontext(),
    ):
        hook = algorithm.backbone.register_forward_hook(count)
        try:
            trainer.predict(Predicting(algorithm, drawing), loader, return_predictions=False)
        finally:
            hook.remove()
            signals.kept = _kept(drawing)
        made = done | _of_all(drawing.made, world)
    return [made[number] for number in range(total)]


def _kept(drawing: Drawing) -> str:
    ready = len(list(drawing.cache.folder.glob("[0-9]*.json")))
    return f"{ready} of {len(drawing.batches)} batches are kept; the same command goes on"


def _of_all(own: dict[int, Made], world: int) -> dict[int, Made]:
    """The batches of every process."""
    if world == 1:
        return own
    each: list[Any] = [None] * world
    torch.distributed.all_gather_object(each, own)
    return {number: made for part in each for number, made in part.items()}
