"""mode=audit: deliberately naive generators through every metric of sample quality; a metric that
they do not lose on cannot be trusted alone."""

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data.module import TokenDataModule
from data.tokenizers import make_tokenizer
from diffusion.times import seed_of
from evaluation import records
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.gen_ppl.protocols import protocol
from evaluation.sample_quality import naive_baselines
from evaluation.sample_quality.report import Held, quality
from evaluation.sample_quality.train_overlap import Copies
from modes import build, trained_run
from modes.audit import table
from modes.audit.generate import device, samples
from modes.checks.folders import check_writable
from modes.held_out import held_out
from modes.sample_eval import requests
from modes.scorer import open_judge
from training.memory import peak_memory_bytes
from training.signals import StopSignals

Rows = list[list[int]]
TRAINING_TOKENS = 2_000_000  # at most, at equal distances in the training text
LEAST = 16  # texts
COOL = 0.5  # of the low temperatures


class Corpus(NamedTuple):
    """Held-out texts in two halves, training texts, and how many tokens begin every text."""

    reference: Rows
    real: Rows
    training: Rows
    begins: int


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started, run, own = time.monotonic(), None, settings
    check_writable(settings["results_dir"], "results_dir")
    if settings["eval"]["checkpoint_path"]:
        run = trained_run.open_run(settings, overrides)
        own = run.settings
    tokenizer = make_tokenizer(trained_run.tokenizer_name(own["data"]))
    asked = protocol(settings["eval"]["quality_protocol"])
    judge = open_judge(settings, tokenizer)
    data = build.data(own, devices=1) if run is None else trained_run.open_data(run)
    corpus = split(settings, own, data)
    copies = Copies(corpus.training, corpus.reference)
    made = generators(corpus, settings["seed"])
    if run is not None:
        draw = partial(samples, run, settings, compose, tokenizer.vocab_size, corpus)
        made |= {"run, temperature 1": partial(draw, 1.0)}
        if run.settings["algo"]["name"] != "sedd_uniform":  # its ratios have no temperature
            made |= {f"run, temperature {COOL}": partial(draw, COOL)}
    fixed = [[place < corpus.begins for place in range(len(row))] for row in corpus.real]
    on = torch.device("cpu") if judge is None and run is None else device(settings)
    if judge is not None:
        judge.network.to(on)
    held = Held(corpus.reference, copies)
    seed = settings["seed"]

    def examine(name: str) -> dict[str, Any]:
        rows = made[name]()
        numbers = quality(rows, fixed, held, judge, tokenizer, asked, seed)
        found[name] = numbers
        passed = table.not_penalised(numbers, found[table.REAL])
        return record(name, numbers, passed, len(rows), data, on, started) | taken(settings)

    found: dict[str, dict[str, Any]] = {}
    examine_all(list(made), examine, found, settings, mark_of([settings, run and run.digest]))
    print(
        f"{len(corpus.real)} texts of {len(corpus.real[0])} tokens each, protocol "
        f"{settings['eval']['quality_protocol']}; records: {settings['results_dir']}"
    )


def examine_all(
    names: list[str],
    examine: Callable[[str], dict[str, Any]],
    found: dict[str, dict[str, Any]],
    settings: build.Settings,
    command: str,
) -> None:
    """A record for each generator, and the table; what the same command recorded before it was
    stopped as it is."""
    folder, caches = Path(settings["results_dir"]), []
    setting = f"results_dir={folder}"
    with StopSignals() as signals:
        try:
            for name in names:
                print(f"audit: {name}", flush=True)
                cache = BatchCache(folder, [command, name], setting, command, alone=False)
                caches.append(cache)
                with cache.held():
                    before = cache.recorded()
                    if before is None:
                        cache.record(folder, examine(name))
                    else:
                        found[name] = json.loads(before.read_text(encoding="utf-8"))["metrics"]
                done = f"{len(found)} of {len(names)} generators are recorded"
                signals.kept = f"{done}; the same command goes on"
        finally:  # also of a record that cannot be written
            if found:
                print(table.table(found))
    for cache in caches:
        cache.clear()


def split(settings: build.Settings, own: build.Settings, data: TokenDataModule) -> Corpus:
    """Twice as many held-out texts as sample_eval would draw, or all there are, in random halves;
    ValueError with fewer than 16 a half."""
    wanted = settings["loader"]["eval_batch_size"] * settings["sampling"]["num_sample_batches"]
    rows = held_out(data).rows
    count = min(wanted, len(rows) // 2)
    if count < LEAST:
        raise ValueError(
            f"mode=audit: {count} texts of model.length={own['model']['length']} in each half of "
            f"the held-out text of data={data.name}, at least {LEAST} are needed; choose a smaller "
            f"model.length, more text, or a larger loader.eval_batch_size"
        )
    order = np.random.default_rng(settings["seed"]).permutation(len(rows))[: 2 * count]
    reference, real = ([rows[i] for i in half] for half in (order[:count], order[count:]))
    blocks = data.blocks("train")
    most = min(len(blocks), max(count, TRAINING_TOKENS // data.length))
    index = np.arange(most, dtype=np.int64) * len(blocks) // most
    batch = blocks.batch(index, np.zeros(most, dtype=np.int64))
    whole = batch["noised"][:, 1:].all(-1)
    begins = len(requests.beginning(own, data.tokenizer))
    return Corpus(reference, real, batch["tokens"][whole].tolist(), begins)


def generators(corpus: Corpus, seed: int) -> dict[str, Callable[[], Rows]]:
    """By name, what makes as many texts as there are real ones, of their lengths."""
    real, begins = corpus.real, corpus.begins
    chain = partial(naive_baselines.chain, corpus.training, like=real, begins=begins)
    order = np.random.default_rng(seed).permutation(len(corpus.training))[: len(real)]
    return {
        table.REAL: lambda: real,
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


def record(
    name: str,
    found: dict[str, Any],
    passed: list[str],
    texts: int,
    data: TokenDataModule,
    device: torch.device,
    started: float,
) -> dict[str, Any]:
    """The fields of a generator's record: its divergence from held-out text, and all else beside
    it."""
    assert not math.isnan(found["divergence"])
    return {
        "metric": "audit",
        "value": found["divergence"],
        "stderr": found["divergence_stderr"],
        "count": texts,
        "kind": "estimate",
        "algo": name,
        "protocol": data.protocol() | {"quality": found["quality_protocol"]},
        "network": {"name": "none", "parameters": 0},
        "data": {"name": data.name, "digest": data.corpus.digest("valid")},
        "training": {"steps": None, "tokens": None, "checkpoint_digest": None},
        "sampler": None,
        "commit": records.commit(),
        "hardware": records.hardware(device),
        "wall_time_s": time.monotonic() - started,
        "peak_memory_bytes": peak_memory_bytes(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": found | {"not_penalised": passed},
    }


def taken(settings: build.Settings) -> dict[str, Any]:
    return {"seed": settings["seed"], "config": settings}
