"""Batches of texts from a trained algorithm: sampled or taken as given, then self-corrected."""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from algos.base import Algorithm, DiffusionAlgorithm
from diffusion.chunked import Prediction
from diffusion.times import seed_of
from modes.texts import Correction, Text
from samplers.self_correction import Corrected, self_correct


class Drawing:
    """Makes batch `number` of the texts (B, L), the same on whichever device: `begin` draws or
    takes them, `correct` goes over them."""

    def __init__(
        self,
        begin: Callable[[Algorithm, int], Tensor],
        correct: Callable[[Algorithm, Tensor], Corrected] | None,
        seed: int,
    ):
        self.begin = begin
        self.correct = correct
        self.seed = seed
        self.made: dict[int, list[Text]] = {}

    def __call__(self, algorithm: Algorithm, number: int) -> Tensor:
        torch.manual_seed(seed_of(self.seed, number))
        tokens = self.begin(algorithm, number)
        if self.correct is None:
            self.made[number] = [Text(row) for row in tokens.tolist()]
            return tokens
        corrected = self.correct(algorithm, tokens)
        columns = (tokens, *corrected[1:])
        changes = map(Correction, *(column.tolist() for column in columns))
        self.made[number] = list(map(Text, corrected.tokens.tolist(), changes))
        return corrected.tokens


def sampled(
    algorithm: Algorithm,
    number: int,
    shape: tuple[int, int],
    sampler: Callable[..., Tensor],
    prompt: list[int],
) -> Tensor:
    """A batch of samples that begin with `prompt`."""
    start = torch.tensor(prompt, dtype=torch.long, device=algorithm.device).expand(shape[0], -1)
    return algorithm.sample(shape, sampler, start)


def given(algorithm: Algorithm, number: int, batches: Sequence[list[list[int]]]) -> Tensor:
    """A batch of finished texts."""
    return torch.tensor(batches[number], device=algorithm.device)


def correct(algorithm: Algorithm, z: Tensor, prompt: list[int], **settings: Any) -> Corrected:
    """Texts (B, L) corrected behind the prompt that they begin with."""
    assert isinstance(algorithm, DiffusionAlgorithm)
    fixed = torch.zeros_like(z, dtype=torch.bool)
    fixed[:, : len(prompt)] = True

    def denoise(z: Tensor, t: Tensor) -> Prediction:
        return algorithm.prediction(algorithm.hidden(z, t))

    return self_correct(denoise, algorithm.process, z, fixed, **settings)


def draw(
    trainer: L.Trainer, algorithm: Algorithm, drawing: Drawing, batches: int, most: int
) -> list[Text]:
    """The texts of all batches, drawn by all devices, in the order of their numbers; `most` network
    calls a batch, for the estimate of the time left."""

    def count(*_: Any) -> None:  # a value would replace the network's output
        bar.update()

    algorithm.sampling = drawing
    numbers: Any = range(batches)
    loader: Any = DataLoader(numbers, batch_size=1)
    total, hidden = -(-batches // trainer.world_size) * most, not trainer.is_global_zero
    with tqdm(desc="network calls", total=total, unit="call", disable=hidden) as bar:
        hook = algorithm.backbone.register_forward_hook(count)
        trainer.predict(algorithm, loader, return_predictions=False)
        hook.remove()
    parts: list[Any] = [drawing.made]
    if torch.distributed.is_initialized():
        parts = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, drawing.made)
    made = {number: texts for part in parts for number, texts in part.items()}
    return [text for _, texts in sorted(made.items()) for text in texts]
