"""Steps of training under Lightning's Trainer, of one global batch that is split over processes and
passes: the losses that are logged, and the first step's gradient as the optimizer sees it.

Run by each of several processes it writes those of all algorithms to a file."""

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from algos.base import Algorithm, Batch
from algos.duo_distill import DUODistill
from data.order import StepSampler
from tests.algos.configured import NAMES, build
from training.optim import adamw, constant_warmup

GLOBAL, LENGTH, STATES = 8, 16, 11
PACKINGS = ("wrap", "pad")


def examples(numbers: list[int], packing: str) -> Batch:
    """Texts that begin with a given token; in packing=pad of very different lengths."""
    index = torch.tensor(numbers)
    place = torch.arange(LENGTH)
    inner = (place > 0).expand(len(index), LENGTH)
    scored = inner & (place <= 2 + (index * 7 % 13).unsqueeze(-1)) if packing == "pad" else inner
    tokens = (index.unsqueeze(-1) * 5 + place * (1 + index.unsqueeze(-1) % 3)) % STATES
    return {"tokens": tokens, "scored": scored, "noised": inner, "index": index}


class Stream:
    """Micro batches of one process, for ever."""

    def __init__(self, packing: str, size: int, world: int, rank: int) -> None:
        self.packing, self.sampler = packing, StepSampler(0, GLOBAL, size, world, rank)

    def __iter__(self) -> Iterator[Batch]:
        return (examples(numbers, self.packing) for numbers in self.sampler)


def trainable(name: str) -> Algorithm:
    """A network of random weights with dropout."""
    algorithm = build(name, STATES, LENGTH)
    if isinstance(algorithm, DUODistill):
        # A teacher of other weights: where the two agree, their divergence is all rounding.
        teacher = build(name, STATES, LENGTH).backbone.eval().requires_grad_(False)
        for parameter in teacher.parameters():
            parameter.neg_()
        algorithm.round, algorithm._teacher = 0, (teacher,)
    algorithm._drops = True
    algorithm.backbone.dropout = 0.1
    for block in algorithm.backbone.blocks:
        block.dropout = 0.1
    algorithm._optimizer = partial(
        adamw, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0
    )
    algorithm._lr_factor = constant_warmup(1, 1000)
    return algorithm


class Losses(L.Callback):
    """The values logged of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step > len(self.values):
            self.values.append(float(trainer.callback_metrics["train/loss"]))


def train(
    name: str, packing: str, size: int, world: int = 1, rank: int = 0, steps: int = 1
) -> dict[str, Any]:
    """The losses of all steps, the first gradient and the last weights, flat."""
    algorithm, losses, gradients = trainable(name), Losses(), []
    clip = algorithm.configure_gradient_clipping

    def clipped(*arguments: Any, **keywords: Any) -> None:
        clip(*arguments, **keywords)
        gradients.append(flat(p.grad for p in algorithm.parameters() if p.grad is not None))

    algorithm.configure_gradient_clipping = clipped  # type: ignore[method-assign]
    gloo = DDPStrategy(process_group_backend="gloo", timeout=timedelta(seconds=120))
    trainer = L.Trainer(
        accelerator="cpu",
        devices=world,
        strategy=gloo if world > 1 else "auto",
        max_steps=steps,
        accumulate_grad_batches=GLOBAL // (size * world),
        gradient_clip_val=1.0,
        logger=False,
        callbacks=[losses],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(algorithm, Stream(packing, size, world, rank))
    weights = flat(p.detach() for p in algorithm.parameters())
    return {"losses": losses.values, "gradient": gradients[0], "weights": weights}


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.detach().clone().flatten() for tensor in tensors])


def main(file: Path, steps: int, packings: list[str]) -> None:
    world, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    found = {
        (name, packing): train(name, packing, GLOBAL // world, world, rank, steps)
        for name in NAMES
        for packing in packings
    }
    if rank == 0:
        torch.save(found, file)
    torch.distributed.destroy_process_group()
