"""The losses of samplers, with a perfect network and with a trained one, as fields of records."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

import torch
from tqdm import tqdm

from algos.base import Algorithm
from algos.calls import network_calls
from data.markov import MarkovLanguage
from diffusion.times import seed_of
from evaluation.batch_cache import BatchCache
from evaluation.oracle import losses
from evaluation.oracle.network import teach
from modes import build, provenance
from modes.checks.oracle import samplers_of
from modes.oracle.report import PERFECT, RUN, Fields
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


def measured(
    subjects: list[Subject],
    language: MarkovLanguage,
    true: losses.Floor,
    settings: Settings,
    command: str,
) -> Iterator[tuple[Fields, BatchCache]]:
    """The fields of a record for every sampler of every subject, behind one bar with an estimate;
    what the same command recorded before it was stopped as it is."""
    length, size = true.length + 1, settings.loader.eval_batch_size
    sizes = [min(size, true.texts - start) for start in range(0, true.texts, size)]
    tasks = [(subject, sampler) for subject in subjects for sampler in subject.samplers]
    total = sum(sampler.calls([length]) for _, sampler in tasks) * len(sizes)
    folder = settings.results
    with tqdm(desc="network calls", total=total, unit="call") as bar:
        for subject, sampler in tasks:
            algo = subject.settings.algo.name
            bar.set_description(f"{algo} {sampler.predictor}")
            expected = bar.n + sampler.calls([length]) * len(sizes)
            network = PERFECT if subject.run is None else RUN
            key = [command, algo, network, sampler.protocol()]
            cache = BatchCache(folder, key, f"results_dir={folder}", command, alone=False)
            with cache.held():
                path = cache.recorded()
                if path is None:
                    began = time.monotonic()
                    texts = texts_of(subject, sampler, sizes, length, settings.seed, bar)
                    fields = losses_of(subject, sampler, texts, language, true)
                    fields["metrics"]["seconds"] = time.monotonic() - began
                    fields = described(subject, began) | fields
                else:
                    fields = json.loads(path.read_text(encoding="utf-8"))
                bar.update(expected - bar.n)  # what was saved
                yield fields, cache


def texts_of(
    subject: Subject, sampler: SamplerConfig, sizes: list[int], length: int, seed: int, bar: tqdm
) -> Samples:
    """The symbols (S, length - 1) of new texts behind their BOS, in batches of `sizes`; every
    network call moves the bar."""
    algorithm, batches, evaluations, positions = subject.algorithm, [], 0, 0
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


def losses_of(
    subject: Subject,
    sampler: SamplerConfig,
    samples: Samples,
    language: MarkovLanguage,
    true: losses.Floor,
) -> Fields:
    """The fields of a record about texts (S, M) that were drawn just now."""
    texts, calls = samples.tokens.numpy(), samples.network_evaluations / true.texts
    distances, settings = losses.losses(texts, language, true), subject.settings
    protocol = sampler.protocol() | {"length": true.length + 1}
    keys = ("states", "order", "concentration", "language_seed")
    digest = sha256(language.transition.tobytes()).hexdigest()
    return {
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
        },
    }


def described(subject: Subject, began: float) -> Fields:
    """The fields of a record about the network."""
    device = subject.algorithm.device
    if subject.run is not None:
        return provenance.provenance(subject.run, subject.algorithm, began, device)
    algo = subject.settings.algo.name
    return provenance.untrained(algo, PERFECT, subject.settings, began, device)
