"""What a step asks of a GPU, counted without one: how often the program waits for the device, the
kernels that it launches and the bytes that these read and write, for every algorithm.

    .venv/bin/python benchmarks/gpu_waits.py --lines

A training step is Lightning's, with clipping, AdamW, averaged weights and the progress bar; a
sampling step is one call of the network with all that belongs to it; an evaluation is one batch.
Eager kernels, in bf16 autocast in training, float32 otherwise. With --lines the lines of the
project that wait; see benchmarks/stand_in.py for what such a count cannot show."""

import argparse
import functools
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lightning as L
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils.data import DataLoader, IterableDataset

from algos.base import Algorithm, Batch, batch_of, moved
from algos.build import ALGORITHMS
from algos.facts import FACTS
from benchmarks import measure, stand_in
from benchmarks.counts import COUNTS, Count
from benchmarks.stand_in import DEVICE
from modes import build
from modes.settings import Settings
from samplers.build import SAMPLERS, draw
from samplers.config import sampler_config
from samplers.self_correction import correct
from training.ema import EMA
from training.progress import RunProgress

VOCABULARY = 1000
WARM, STEPS = 1, 3  # training steps that are left out, and counted
SIZES = ["model.hidden_size=64", "model.n_heads=2", "model.cond_dim=16", "model.length=64"]
SIZES += ["data.tokenizer_name_or_path=bytes", "loader.global_batch_size=8"]
SIZES += ["lr_scheduler.num_warmup_steps=2", "sampling.steps=8"]
OVERRIDES = {name: [f"algo={name}"] for name in ALGORITHMS}
OVERRIDES["bd3lm"] += ["algo.block_size=4"]
TRAINED = OVERRIDES | {"duo": ["algo=duo", "algo.curriculum_steps=0"]}
TRAINED |= {
    f"duo, {kind} curriculum": ["algo=duo", f"algo.curriculum={kind}", "algo.curriculum_steps=99"]
    for kind in ("efficient", "full")
}
# Beside each algorithm with each of its samplers.
SAMPLED: dict[str, tuple[str, dict[str, Any]]] = {
    "mdlm, psi remdm-conf": ("mdlm", {"predictor": "psi", "kappa": "remdm-conf", "eta": None}),
    "mdlm, nucleus": ("mdlm", {"p_nucleus": 0.9}),
    "mdlm, entropy bound": ("mdlm", {"predictor": "ordered", "entropy_bound": 1.0}),
    "mdlm, systematic coins": ("mdlm", {"coins": "systematic"}),
    "mdlm, gumbel32": ("mdlm", {"draws": "gumbel32"}),
    "udlm, nucleus": ("udlm", {"p_nucleus": 0.9}),
    "udlm, gumbel32": ("udlm", {"draws": "gumbel32"}),
    "udlm, greedy": ("udlm", {"noise_removal": "greedy"}),
    "udlm, guidance": ("udlm", {"guidance": 1.0}),
}


class Texts(IterableDataset):
    """Batches of random texts of a training stream, the first token of each given."""

    def __init__(self, settings: Settings):
        self.count = settings.loader.global_batch_size
        self.length = settings.model.length

    def batch(self, start: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(start)
        tokens = torch.randint(VOCABULARY, (self.count, self.length), generator=generator)
        return batch_of(tokens, 1, torch.arange(start, start + self.count))

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, itertools.count(0, self.count))


class Accelerator(CPUAccelerator):
    """Lightning's, for whatever device the strategy names."""

    def setup_device(self, device: torch.device) -> None:
        pass


class Watch(L.Callback):
    """Counts whole steps."""

    count: Count | None = None

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == WARM:
            COUNTS.clear()
        elif trainer.global_step == WARM + STEPS:
            self.count = COUNTS.per_step(STEPS)


@functools.cache
def composed(*overrides: str) -> Settings:
    return measure.composed(*SIZES, *overrides)


def rough(settings: Settings) -> Algorithm:
    """With weights that make no two predictions alike."""
    algorithm = build.algorithm(settings, VOCABULARY)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in algorithm.backbone.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return algorithm


def training(settings: Settings, device: torch.device, low: bool) -> tuple[float, Count]:
    """The last loss, and the count of a step; with `low` in bf16 autocast."""
    algorithm, watch, texts = rough(settings), Watch(), Texts(settings)
    tokens_per_step = texts.count * texts.length
    plugin = MixedPrecision("bf16-mixed", device.type) if low else Precision()
    trainer = L.Trainer(
        strategy=SingleDeviceStrategy(device, Accelerator(), precision_plugin=plugin),
        max_steps=WARM + STEPS,
        gradient_clip_val=1.0,
        logger=False,
        callbacks=[watch, EMA(0.999), RunProgress("training", tokens_per_step)],
        enable_checkpointing=False,
        enable_model_summary=False,
        limit_val_batches=0,
        log_every_n_steps=100,
    )
    trainer.fit(algorithm, DataLoader(texts, batch_size=None))
    assert watch.count is not None
    return float(trainer.callback_metrics["train/loss"]), watch.count


def evaluation(settings: Settings, device: torch.device) -> tuple[float, Count]:
    """The nats of a batch, and its count."""
    algorithm, texts = rough(settings).eval().to(device), Texts(settings)
    with torch.no_grad():
        algorithm.nll(moved(texts.batch(), device))  # makes tables
        batch = moved(texts.batch(texts.count), device)
        COUNTS.clear()
        nats = algorithm.nll(batch).double().sum()
        count = COUNTS.per_step(1)  # the number is read, and waited for, after that
    return float(nats), count


def sampling(
    settings: Settings, device: torch.device, options: dict[str, Any]
) -> tuple[list[list[int]], Count]:
    """Texts, and the count of one network call for them."""
    algorithm, texts = rough(settings).eval().to(device), Texts(settings)
    keys = replace(settings.sampling, **options)
    sampler = sampler_config(keys, settings.algo, texts.length, 1)
    batch, calls = moved(texts.batch(), device), []
    hook = algorithm.backbone.register_forward_hook(lambda *_: calls.append(1))
    fixed = ~batch["noised"]
    torch.manual_seed(1)
    with torch.no_grad():
        COUNTS.clear()
        tokens = draw(sampler, algorithm, batch["tokens"], fixed).tokens
        # Left to right the network has a form of its own, which no hook sees.
        count = COUNTS.per_step(len(calls) or texts.length - 1)
    hook.remove()
    return tokens.tolist(), count


def correction(settings: Settings, device: torch.device) -> tuple[list[list[int]], Count]:
    """Corrected texts, and the count of one step of it."""
    algorithm, texts = rough(settings).eval().to(device), Texts(settings)
    batch, steps = moved(texts.batch(), device), 4
    torch.manual_seed(1)
    COUNTS.clear()
    found, _ = correct(algorithm, batch["tokens"], ~batch["noised"], steps=steps, temperature=1.0)
    count = COUNTS.per_step(steps + 1)
    return found.tokens.tolist(), count


def drawn() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, algorithm and keys of `sampling` of every case."""
    for name in ALGORITHMS:
        for predictor in FACTS[name].samplers:
            if predictor in SAMPLERS and (name, predictor) != ("gidd", "ordered"):
                yield f"{name}, {predictor}", name, {"predictor": predictor}
    for case, (name, options) in SAMPLED.items():
        yield case, name, options


def measured(blocks: int) -> Iterator[tuple[str, str, Count]]:
    """What is counted, the case, its count."""
    size = f"model.n_blocks={blocks}"
    for case, overrides in TRAINED.items():
        yield "training step", case, training(composed(*overrides, size), DEVICE, True)[1]
    of = {name: composed(*line, size) for name, line in OVERRIDES.items()}
    for name, settings in of.items():
        yield "evaluation, a batch", name, evaluation(settings, DEVICE)[1]
    for case, name, options in drawn():
        yield "sampling, a network call", case, sampling(of[name], DEVICE, options)[1]
    corrected = correction(of["gidd"], DEVICE)[1]
    yield "sampling, a network call", "gidd, self-correction", corrected


def show(blocks: int, lines: bool) -> None:
    """A Markdown table for each kind, and under each row the lines that wait."""
    kind = None
    for what, case, count in measured(blocks):
        if what != kind:
            print(f"\n| {what} | waits | kernels | MB |\n|---|---:|---:|---:|")
            kind = what
        print(f"| {case} | {count.waits:.1f} | {count.kernels:.0f} | {count.bytes / 1e6:.2f} |")
        for line, number in sorted(count.lines.items(), key=lambda pair: -pair[1]) if lines else ():
            print(f"    {number:6.2f} {line}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=4, help="of the network")
    parser.add_argument("--lines", action="store_true", help="the lines that wait")
    given = parser.parse_args()
    stand_in.start()
    show(given.blocks, given.lines)
