"""Batches of texts from a trained algorithm: sampled or taken as given, then self-corrected."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from diffusion.chunked import Prediction
from diffusion.times import seed_of
from modes.sampling.kept import Kept, Made
from modes.sampling.plans import Batch
from modes.sampling.texts import Correction, Text
from samplers.self_correction import Corrected, self_correct

# (algorithm, tokens (B, L), fixed (B, L), number of the batch) -> texts (B, L)
Begin = Callable[[Algorithm, Tensor, Tensor, int], Tensor]
Correct = Callable[[Algorithm, Tensor, Tensor], Corrected]


@dataclass(frozen=True)
class Drawing:
    """Makes batch `number` of the texts, the same on whichever device: `begin` draws or takes them,
    `correct` goes over them, `kept` remembers them."""

    batches: list[Batch]
    begin: Begin
    correct: Correct | None
    seed: int
    kept: Kept

    def __call__(self, algorithm: Algorithm, number: int) -> Tensor:
        torch.manual_seed(seed_of(self.seed, number))
        shown, began = algorithm.network_evaluations, time.monotonic()
        batch = self.batches[number]
        fixed = torch.tensor(batch.fixed, device=algorithm.device)
        tokens = torch.tensor(batch.tokens, device=algorithm.device)
        tokens = self.begin(algorithm, tokens, fixed, number)
        if self.correct is None:
            texts = [Text(row) for row in tokens.tolist()]
        else:
            corrected = self.correct(algorithm, tokens, fixed)
            columns = (column.tolist() for column in (tokens, *corrected[1:]))
            tokens = corrected.tokens
            texts = list(map(Text, tokens.tolist(), map(Correction, *columns)))
        evaluations = algorithm.network_evaluations - shown
        self.kept.write(number, Made(texts, evaluations, time.monotonic() - began))
        return tokens


def as_given(algorithm: Algorithm, tokens: Tensor, fixed: Tensor, number: int) -> Tensor:
    """A batch of finished texts."""
    return tokens


def correct(algorithm: Algorithm, z: Tensor, fixed: Tensor, **settings: Any) -> Corrected:
    """Texts (B, L) corrected where they are not `fixed` (B, L)."""
    assert isinstance(algorithm, DiffusionAlgorithm)

    def denoise(z: Tensor, t: Tensor) -> Prediction:
        return algorithm.prediction(algorithm.hidden(z, t))

    return self_correct(denoise, algorithm.process, z, fixed, **settings)


def draw(
    trainer: L.Trainer, algorithm: Algorithm, drawing: Drawing, most: int, watched: bool
) -> list[Made]:
    """All batches, drawn by all devices, in the order of their numbers, those of a run that was
    stopped as they are, but for the first where it is `watched`; `most` network calls a batch, for
    the estimate of the time left."""

    def count(*_: Any) -> None:  # a value would replace the network's output
        bar.update()

    done = drawing.kept.read()
    if done and trainer.is_global_zero:
        print(f"{len(done)} of {len(drawing.batches)} batches were drawn before: going on")
    every = range(len(drawing.batches))
    missing = [number for number in every if number not in done or (watched and number == 0)]
    # Every process has one at least, so that they meet; a batch drawn again comes out as it was.
    numbers: Any = missing + (trainer.world_size - len(missing)) * [missing[-1] if missing else 0]
    algorithm.sampling = drawing
    loader: Any = DataLoader(numbers, batch_size=1)
    total, hidden = -(-len(numbers) // trainer.world_size) * most, not trainer.is_global_zero
    with tqdm(desc="network calls", total=total, unit="call", disable=hidden) as bar:
        hook = algorithm.backbone.register_forward_hook(count)
        trainer.predict(algorithm, loader, return_predictions=False)
        hook.remove()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
    return [made for _, made in sorted(drawing.kept.read().items())]
