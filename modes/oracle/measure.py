"""The losses of samplers, with a perfect network and with a trained one, as fields of records."""

import time
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

import torch
from tqdm import tqdm

from algos.base import Algorithm
from algos.calls import network_calls
from data.markov import MarkovLanguage
from diffusion.times import seed_of
from evaluation.oracle import losses
from evaluation.oracle.network import teach
from modes import build, provenance
from modes.checks.oracle import samplers_of
from modes.oracle.report import PERFECT
from modes.rows import Fields
from modes.settings import Settings
from modes.trained_run import TrainedRun
from samplers.build import Samples, draw
from samplers.config import SamplerConfig, sampler_config


class Subject(NamedTuple):
    """An algorithm with a perfect network or that of `run`, and its samplers."""

    settings: Settings
    algorithm: Algorithm
    samplers: list[SamplerConfig]
    run: TrainedRun | None = None


def perfect(settings: Settings, language: MarkovLanguage, device: torch.device) -> Subject:
    """An algorithm whose network has nothing left to learn."""
    algorithm = build.algorithm(settings, language.states + 1).eval()
    teach(algorithm, language)
    algorithm.to(device)
    samplers = []
    for name in samplers_of(settings.algo, settings.oracle.samplers):
        for steps in settings.oracle.steps:
            sampling = replace(settings.sampling, predictor=name, steps=steps)
            sampler = sampler_config(sampling, settings.algo, settings.model.length, 1)
            # One that sets its own pace does so for any number of steps.
            if sampler.protocol()["steps"] is not None or steps == settings.oracle.steps[0]:
                samplers.append(sampler)
    return Subject(settings, algorithm, samplers)


def row(
    subject: Subject,
    sampler: SamplerConfig,
    language: MarkovLanguage,
    true: losses.Floor,
    sizes: list[int],
    bar: tqdm,
) -> Fields:
    """The fields of a record of new texts by one sampler of a subject, in batches of `sizes`."""
    began, settings = time.monotonic(), subject.settings
    bar.set_description(f"{settings.algo.name} {sampler.predictor}")
    samples = texts_of(subject.algorithm, sampler, sizes, true.length + 1, settings.seed, bar)
    texts, calls = samples.tokens.numpy(), samples.network_evaluations / true.texts
    distances = losses.losses(texts, language, true)
    protocol = sampler.protocol() | {"length": true.length + 1}
    keys = ("states", "order", "concentration", "language_seed")
    digest = sha256(language.transition.tobytes()).hexdigest()
    fields: Fields = {
        "metric": "oracle",
        "value": distances[losses.NATS].excess,
        "stderr": distances[losses.NATS].stderr,
        "count": true.texts,
        "kind": "estimate",
        "protocol": protocol | {key: getattr(settings.data, key) for key in keys},
        "data": {"name": settings.data.name, "digest": digest},
        "sampler": protocol | {"network_evaluations": calls},
        "seed": settings.seed,
        "metrics": {
            "losses": {name: loss._asdict() for name, loss in distances.items()},
            "foreign": losses.foreign(texts, language),
            "network_evaluations": calls,
            "seconds": time.monotonic() - began,
        },
    }
    device = subject.algorithm.device
    if subject.run is not None:
        return provenance.provenance(subject.run, subject.algorithm, began, device) | fields
    about = provenance.untrained(settings.algo.name, PERFECT, settings, began, device)
    return about | fields


def texts_of(
    algorithm: Algorithm,
    sampler: SamplerConfig,
    sizes: list[int],
    length: int,
    seed: int,
    bar: tqdm,
) -> Samples:
    """The symbols (S, length - 1) of new texts behind their BOS, in batches of `sizes`; every
    network call moves the bar."""
    batches, evaluations, positions = [], 0, 0
    with network_calls(algorithm, bar.update):
        for number, rows in enumerate(sizes):
            torch.manual_seed(seed_of(seed, number))
            shape, device = (rows, length), algorithm.device
            tokens = torch.full(shape, algorithm.vocab_size - 1, device=device)
            fixed = torch.zeros_like(tokens, dtype=torch.bool)
            fixed[:, 0] = True
            samples = draw(sampler, algorithm, tokens, fixed)
            batches.append(samples.tokens[:, 1:].cpu())
            evaluations += samples.network_evaluations
            positions += samples.positions
    return Samples(torch.cat(batches), evaluations, positions)
