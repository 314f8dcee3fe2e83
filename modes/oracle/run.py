"""mode=oracle: the loss of each sampler with a network that knows the language, and with a trained
run that of its training; a table, and one record per row."""

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from algos.base import Algorithm
from data.markov import MarkovLanguage
from diffusion.times import seed_of
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.oracle import decomposition, losses
from evaluation.oracle.network import teach
from modes import build, provenance, trained_run
from modes.checks.folders import check_writable
from modes.checks.oracle import check_oracle, check_samplers, samplers_of
from modes.oracle import report
from modes.oracle.report import PERFECT, RUN, Row
from modes.trained_run import TrainedRun
from samplers.build import SamplerConfig, Samples, sampler_config
from samplers.check import check_sampling
from training.signals import StopSignals

FLOOR = 1  # the stream of random numbers for true texts


class Subject(NamedTuple):
    """An algorithm with the network that it is examined with, and its samplers."""

    settings: build.Settings
    network: str
    algorithm: Algorithm
    samplers: list[SamplerConfig]


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    folder = Path(settings["results_dir"])
    check_writable(folder, "results_dir")
    run = None
    if settings["eval"]["checkpoint_path"]:
        run = trained_run.open_run(settings, overrides, compose=compose)
    composed = examined(run.settings if run else settings, overrides, compose)
    language, device = language_of(composed[0]["data"]), build.root_device(settings)
    subjects = [perfect(variant, language, device) for variant in composed]
    if run is not None:
        trained = trained_run.restore(run).to(device)
        parts = decomposition.likelihood(
            subjects[0].algorithm,
            trained,
            language,
            count=run.settings["oracle"]["samples"],
            length=run.settings["model"]["length"],
            passes=run.settings["eval"]["passes"],
            batch_size=run.settings["loader"]["eval_batch_size"],
            seed=run.settings["seed"],
        )
        for line in report.likelihood_lines(parts):
            print(line)
        subjects.append(subjects[0]._replace(network=RUN, algorithm=trained))
    count, length = settings["oracle"]["samples"], composed[0]["model"]["length"]
    true = losses.floor(
        language, count, length - 1, np.random.default_rng([settings["seed"], FLOOR])
    )
    rows: list[Row] = []
    command = mark_of([settings, run and run.digest])
    total = sum(len(subject.samplers) for subject in subjects)
    caches: list[BatchCache] = []
    with StopSignals() as signals:
        try:
            for subject, row, cache in measured(subjects, language, true, settings, command):
                rows.append(row)
                caches.append(cache)
                if cache.recorded() is None:
                    about = described(subject, run, time.monotonic() - row.seconds)
                    cache.record(folder, about | fields(subject, row, language))
                signals.kept = f"{len(rows)} of {total} rows are recorded; the same command goes on"
        finally:  # also of a record that cannot be written
            if rows:
                report.show(rows, language)
    print(f"{len(rows)} records in {folder}")
    for cache in caches:
        cache.clear()


def examined(
    base: build.Settings, overrides: list[str], compose: Callable[..., Any]
) -> list[build.Settings]:
    """The settings of every algorithm; ValueError for what cannot be, before anything is built."""
    check_oracle(base)
    kept = [text for text in overrides if text.partition("=")[0] not in ("mode", "algo")]
    names = base["oracle"]["algos"] or [base["algo"]["name"]]
    if names == [base["algo"]["name"]]:
        composed = [base]
    else:
        composed = [compose([*kept, f"algo={name}"]) for name in names]
    algos = [variant["algo"] for variant in composed]
    check_samplers(algos, base["oracle"]["samplers"])
    for algo in algos:
        for name in samplers_of(algo, base["oracle"]["samplers"]):
            check_sampling(algo, base["sampling"] | {"predictor": name})
    return composed


def language_of(data: dict[str, Any]) -> MarkovLanguage:
    return MarkovLanguage(
        data["states"], data["order"], data["language_seed"], data["concentration"]
    )


def perfect(settings: build.Settings, language: MarkovLanguage, device: torch.device) -> Subject:
    """An algorithm whose network has nothing left to learn."""
    algorithm = build.algorithm(settings, language.states + 1).eval()
    teach(algorithm, language)
    algorithm.to(device)
    algo, options = settings["algo"], settings["oracle"]
    samplers = []
    for name in samplers_of(algo, options["samplers"]):
        for steps in options["steps"]:
            sampling = settings["sampling"] | {"predictor": name, "steps": steps}
            sampler = sampler_config(sampling, algo, settings["model"]["length"], 1)
            # One that sets its own pace does so for any number of steps.
            if sampler.protocol()["steps"] is not None or steps == options["steps"][0]:
                samplers.append(sampler)
    return Subject(settings, PERFECT, algorithm, samplers)


def measured(
    subjects: list[Subject],
    language: MarkovLanguage,
    true: losses.Floor,
    settings: build.Settings,
    command: str,
) -> Iterator[tuple[Subject, Row, BatchCache]]:
    """A row for every sampler of every subject, behind one bar with an estimate; what the same
    command recorded before it was stopped as it is."""
    length, size = true.length + 1, settings["loader"]["eval_batch_size"]
    sizes = [min(size, true.texts - start) for start in range(0, true.texts, size)]
    tasks = [(subject, sampler) for subject in subjects for sampler in subject.samplers]
    total = sum(sampler.calls([length]) for _, sampler in tasks) * len(sizes)
    folder = Path(settings["results_dir"])
    with tqdm(desc="network calls", total=total, unit="call") as bar:
        for subject, sampler in tasks:
            bar.set_description(f"{subject.settings['algo']['name']} {sampler.predictor}")
            expected = bar.n + sampler.calls([length]) * len(sizes)
            key = [command, subject.settings["algo"]["name"], subject.network, sampler.protocol()]
            cache = BatchCache(folder, key, f"results_dir={folder}", command, alone=False)
            with cache.held():
                path = cache.recorded()
                if path is None:
                    began = time.monotonic()
                    texts = texts_of(subject, sampler, sizes, length, settings["seed"], bar)
                    row = row_of(subject, sampler, texts, language, true)
                    row = row._replace(seconds=time.monotonic() - began)
                else:
                    row = report.recorded_row(path, subject.network)
                bar.update(expected - bar.n)  # what was saved
                yield subject, row, cache


def texts_of(
    subject: Subject, sampler: SamplerConfig, sizes: list[int], length: int, seed: int, bar: tqdm
) -> Samples:
    """The symbols (S, length - 1) of new texts behind their BOS, in batches of `sizes`; every
    network call moves the bar."""

    def count(*_: Any) -> None:  # a value would replace the network's output
        bar.update()

    algorithm, batches, evaluations, positions = subject.algorithm, [], 0, 0
    hook = algorithm.backbone.register_forward_hook(count)
    for number, rows in enumerate(sizes):
        torch.manual_seed(seed_of(seed, number))
        shape, device = (rows, length), algorithm.device
        tokens = torch.full(shape, algorithm.vocab_size - 1, device=device)
        fixed = torch.zeros_like(tokens, dtype=torch.bool)
        fixed[:, 0] = True
        samples = sampler.draw(algorithm, tokens, fixed)
        batches.append(samples.tokens[:, 1:].cpu())
        evaluations += samples.network_evaluations
        positions += samples.positions
    hook.remove()
    return Samples(torch.cat(batches), evaluations, positions)


def row_of(
    subject: Subject,
    sampler: SamplerConfig,
    samples: Samples,
    language: MarkovLanguage,
    true: losses.Floor,
) -> Row:
    """The losses of texts (S, M) that were drawn just now."""
    texts = samples.tokens.numpy()
    protocol = sampler.protocol() | {"length": true.length + 1}
    return Row(
        algo=subject.settings["algo"]["name"],
        predictor=sampler.predictor,
        steps=protocol["steps"],
        network=subject.network,
        losses=losses.losses(texts, language, true),
        foreign=losses.foreign(texts, language),
        evaluations=samples.network_evaluations / len(texts),
        seconds=0.0,
        protocol=protocol,
    )


def described(subject: Subject, run: TrainedRun | None, started: float) -> dict[str, Any]:
    """The fields of a record about the network."""
    if run is not None and subject.network == RUN:
        return provenance.provenance(run, subject.algorithm, started, subject.algorithm.device)
    algo, device = subject.settings["algo"]["name"], subject.algorithm.device
    return provenance.untrained(algo, PERFECT, subject.settings, started, device)


def fields(subject: Subject, row: Row, language: MarkovLanguage) -> dict[str, Any]:
    """The fields of a record about the samples."""
    nats, data = row.losses[losses.NATS], subject.settings["data"]
    keys = ("states", "order", "concentration", "language_seed")
    return {
        "metric": "oracle",
        "value": nats.excess,
        "stderr": nats.stderr,
        "count": subject.settings["oracle"]["samples"],
        "kind": "estimate",
        "protocol": row.protocol | {key: data[key] for key in keys},
        "data": {"name": data["name"], "digest": sha256(language.transition.tobytes()).hexdigest()},
        "sampler": row.protocol | {"network_evaluations": row.evaluations},
        "seed": subject.settings["seed"],
        "metrics": {
            "losses": {name: loss._asdict() for name, loss in row.losses.items()},
            "foreign": row.foreign,
            "network_evaluations": row.evaluations,
            "seconds": row.seconds,
        },
    }
