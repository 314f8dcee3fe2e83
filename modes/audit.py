"""mode=audit: trivial baselines through every metric of sample quality; a metric that does not
penalise one of them cannot be trusted alone."""

import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from algos.facts import facts_of
from data.module import TokenDataModule
from data.tokenizers import make_tokenizer
from diffusion.times import seed_of
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.bootstrap import NORMAL
from evaluation.gen_ppl.protocols import protocol
from evaluation.rounding import with_error
from evaluation.sample_quality import naive_baselines
from evaluation.sample_quality.report import Reference, quality
from evaluation.sample_quality.train_overlap import TrainOverlap
from leaderboard.export.terminal import print_table
from modes import build, provenance, trained_run
from modes.checks.folders import check_writable
from modes.held_out import held_out, spaced_texts
from modes.sample_eval import requests
from modes.scorer import open_scorer
from modes.trained_run import TrainedRun
from samplers.build import sampler_config
from training.signals import StopSignals

Rows = list[list[int]]
Metrics = dict[str, Any]
TRAINING_TOKENS = 2_000_000  # at most, at equal distances in the training text
LEAST = 16  # texts
COOL = 0.5  # of the low temperatures
REAL = "held-out text"
BETTER = {  # the metrics and the sign of what is better
    "entropy": 1,
    "distinct_2": 1,
    "repetition": -1,
    "gen_ppl": -1,
    "mauve": 1,
    "divergence": -1,
    "two_sample_accuracy": -1,
    "train_overlap": -1,
}
# Each measures what the others miss: fluency, variety, likeness, novelty.
RECOMMENDED = ("gen_ppl", "entropy", "divergence", "train_overlap")
DIGITS = {"gen_ppl": 2}
LEGEND = (
    f"* not penalised: by this metric the generator is not worse than other held-out text, by more "
    f"than {NORMAL} standard errors of the difference.\n"
    f"Penalised: by one of {', '.join(RECOMMENDED)} at least."
)


class Corpus(NamedTuple):
    """Held-out texts in two halves, training texts, and how many tokens begin every text."""

    reference: Rows
    real: Rows
    training: Rows
    begins: int


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started, run, run_settings, seed = time.monotonic(), None, settings, settings["seed"]
    check_writable(settings["results_dir"], "results_dir")
    if settings["eval"]["checkpoint_path"]:
        run = trained_run.open_run(settings, overrides, compose=compose)
        run_settings = run.settings
    if run is None:
        tokenizer = make_tokenizer(trained_run.tokenizer_name(run_settings["data"]))
    else:
        tokenizer = trained_run.open_tokenizer(run)
    named = protocol(settings["eval"]["quality_protocol"])
    scorer = open_scorer(settings, tokenizer)
    data = build.data(run_settings, devices=1) if run is None else trained_run.open_data(run)
    corpus = split(settings, run_settings, data)
    reference = Reference(corpus.reference, TrainOverlap(corpus.training, corpus.reference))
    texts = generators(corpus, seed)
    idle = scorer is None and run is None  # no network computes
    where = torch.device("cpu") if idle else build.root_device(settings)
    if run is not None:
        draw = partial(samples, run, settings, corpus, where)
        texts |= {"run, temperature 1": partial(draw, 1.0)}
        if not facts_of(run.settings["algo"]["name"]).predicts_ratios:  # which have no temperature
            texts |= {f"run, temperature {COOL}": partial(draw, COOL)}
    fixed = [[position < corpus.begins for position in range(len(row))] for row in corpus.real]
    if scorer is not None:
        scorer.network.to(where)

    def record(name: str, measured: dict[str, Metrics]) -> dict[str, Any]:
        rows = texts[name]()
        metrics = quality(rows, fixed, reference, scorer, tokenizer, named, seed)
        assert not math.isnan(metrics["divergence"])
        passed = not_penalised(metrics, measured.get(REAL, metrics))
        return {
            **provenance.untrained(name, "none", settings, started, where),
            "metric": "audit",
            "value": metrics["divergence"],
            "stderr": metrics["divergence_stderr"],
            "count": len(rows),
            "kind": "estimate",
            "protocol": data.protocol() | {"quality": metrics["quality_protocol"]},
            "data": {"name": data.name, "digest": data.corpus.digest("valid")},
            "sampler": None,
            "seed": seed,
            "metrics": metrics | {"not_penalised": passed},
        }

    record_all(list(texts), record, settings, mark_of([settings, run and run.digest]))
    print(
        f"{len(corpus.real)} texts of {len(corpus.real[0])} tokens each, protocol "
        f"{settings['eval']['quality_protocol']}; records: {settings['results_dir']}"
    )


def record_all(
    names: list[str],
    record: Callable[[str, dict[str, Metrics]], dict[str, Any]],
    settings: build.Settings,
    command: str,
) -> None:
    """Records every generator and prints the table; what the same command recorded before it was
    stopped is left as it is."""
    folder, caches = Path(settings["results_dir"]), []
    measured: dict[str, Metrics] = {}
    with StopSignals() as signals:
        try:
            for name in names:
                print(f"audit: {name}", flush=True)
                key, setting = [command, name], f"results_dir={folder}"
                cache = BatchCache(folder, key, setting, command, alone=False)
                caches.append(cache)
                with cache.held():
                    path = cache.recorded()
                    if path is None:
                        fields = record(name, measured)
                        measured[name] = fields["metrics"]
                        cache.record(folder, fields)
                    else:
                        measured[name] = json.loads(path.read_text(encoding="utf-8"))["metrics"]
                done = f"{len(measured)} of {len(names)} generators are recorded"
                signals.kept = f"{done}; the same command goes on"
        finally:  # also of a record that cannot be written
            if measured:
                print_table(*table(measured), caption=LEGEND)
    for cache in caches:
        cache.clear()


def split(settings: build.Settings, run_settings: build.Settings, data: TokenDataModule) -> Corpus:
    """Twice as many held-out texts as sample_eval would draw, or all there are, in random halves;
    ValueError with fewer than 16 a half."""
    wanted = settings["loader"]["eval_batch_size"] * settings["sampling"]["num_sample_batches"]
    rows, length = held_out(data).rows, run_settings["model"]["length"]
    count = min(wanted, len(rows) // 2)
    if count < LEAST:
        raise ValueError(
            f"mode=audit: {count} texts of model.length={length} in each half of "
            f"the held-out text of data={data.name}, at least {LEAST} are needed; choose a smaller "
            f"model.length, more text, or a larger loader.eval_batch_size"
        )
    order = np.random.default_rng(settings["seed"]).permutation(len(rows))[: 2 * count]
    reference, real = ([rows[i] for i in half] for half in (order[:count], order[count:]))
    training = spaced_texts(data, "train", max(count, TRAINING_TOKENS // data.length))
    begins = len(requests.beginning(run_settings, data.tokenizer))
    return Corpus(reference, real, training, begins)


def generators(corpus: Corpus, seed: int) -> dict[str, Callable[[], Rows]]:
    """Functions by name that make as many texts as there are real ones, of their lengths."""
    real, begins = corpus.real, corpus.begins
    chain = partial(naive_baselines.chain, corpus.training, like=real, begins=begins)
    order = np.random.default_rng(seed).permutation(len(corpus.training))[: len(real)]
    return {
        REAL: lambda: real,
        "copied training text": lambda: [corpus.training[i] for i in order],
        "unigram chain": partial(chain, 1, temperature=1.0, seed=seed_of(seed, 1)),
        "bigram chain": partial(chain, 2, temperature=1.0, seed=seed_of(seed, 2)),
        "trigram chain": partial(chain, 3, temperature=1.0, seed=seed_of(seed, 3)),
        f"trigram chain, temperature {COOL}": partial(
            chain, 3, temperature=COOL, seed=seed_of(seed, 4)
        ),
        "shuffled held-out text": partial(naive_baselines.shuffled, real, begins, seed),
        "one text repeated": partial(naive_baselines.one_text, real),
        "a phrase repeated": partial(naive_baselines.phrases, real, begins),
    }


def samples(
    run: TrainedRun,
    settings: build.Settings,
    corpus: Corpus,
    device: torch.device,
    temperature: float,
) -> Rows:
    """As many texts as there are real ones, by the run's sampler at a temperature, in float32."""
    options, length = settings["sampling"] | {"temperature": temperature}, len(corpus.real[0])
    sampler = sampler_config(options, run.settings["algo"], length, corpus.begins)
    algorithm = trained_run.restore(run).to(device)
    size, rows = settings["loader"]["eval_batch_size"], []
    torch.manual_seed(settings["seed"])
    with torch.no_grad():
        for start in range(0, len(corpus.real), size):
            tokens = torch.tensor(corpus.real[start : start + size], device=algorithm.device)
            fixed = torch.zeros_like(tokens, dtype=torch.bool)
            fixed[:, : corpus.begins] = True
            rows += sampler.draw(algorithm, tokens, fixed).tokens.tolist()
    return rows


def not_penalised(metrics: Metrics, real: Metrics) -> list[str]:
    """The metrics by which a generator is at least as good as real text, within the errors."""

    def worse(name: str) -> bool:
        variance = sum((values[f"{name}_stderr"] or 0.0) ** 2 for values in (metrics, real))
        return BETTER[name] * (real[name] - metrics[name]) > NORMAL * variance**0.5

    return [name for name in BETTER if name in metrics and name in real and not worse(name)]


def table(measured: dict[str, Metrics]) -> tuple[list[str], list[list[str]]]:
    """Headers and a row for each generator, with the metrics that the real text has."""
    real = measured[REAL]
    names = [name for name in BETTER if name in real]
    rows = []
    for generator, metrics in measured.items():
        passed = [] if generator == REAL else not_penalised(metrics, real)
        cells = [_cell(metrics, name, name in passed) for name in names]
        penalised = any(name in names and name not in passed for name in RECOMMENDED)
        verdict = "" if generator == REAL else "yes" if penalised else "no"
        rows.append([generator, *cells, verdict])
    return ["generator", *names, "penalised"], rows


def _cell(metrics: Metrics, name: str, passed: bool) -> str:
    if name not in metrics:
        return "-"
    value = with_error(metrics[name], metrics[f"{name}_stderr"], DIGITS.get(name, 3))
    return value + ("*" if passed else " ")
