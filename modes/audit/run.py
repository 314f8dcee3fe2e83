"""mode=audit: trivial baselines through every metric of sample quality; a metric that does not
penalise one of them cannot be trusted alone."""

import math
import time
from functools import partial
from typing import Any

import torch

from algos.facts import facts_of
from data.tokenizers import make_tokenizer
from evaluation.batch_cache import mark_of
from evaluation.bootstrap import NORMAL
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.rounding import with_error
from evaluation.sample_quality.report import Reference, quality
from evaluation.sample_quality.train_overlap import TrainOverlap
from leaderboard.export.terminal import print_table
from modes import build, provenance, trained_run
from modes.audit.generators import COOL, REAL, generators, samples, split
from modes.checks.folders import check_writable
from modes.rows import Fields, record_rows
from modes.run_settings import tokenizer_name
from modes.scorer import open_scorer
from modes.settings import Compose, Settings, stored

Metrics = dict[str, Any]
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


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    started, run, run_settings = time.monotonic(), None, settings
    check_writable(settings.results, "results_dir")
    if settings.eval.checkpoint_path:
        run = trained_run.open_run(settings, overrides, compose=compose)
        run_settings, tokenizer = run.settings, trained_run.open_tokenizer(run)
    else:
        tokenizer = make_tokenizer(tokenizer_name(settings.data))
    preset, seed = settings.eval.quality_protocol, settings.seed
    scorer = open_scorer(settings, tokenizer)
    data = build.data(run_settings, devices=1) if run is None else trained_run.open_data(run)
    corpus = split(settings, run_settings, data)
    reference = Reference(corpus.reference, TrainOverlap(corpus.training, corpus.reference))
    texts = generators(corpus, seed)
    idle = scorer is None and run is None  # no network computes
    where = torch.device("cpu") if idle else build.root_device(settings)
    if run is not None:
        of_run = partial(samples, run, settings, corpus, where)
        texts |= {"run, temperature 1": partial(of_run, 1.0)}
        if not facts_of(run.settings.algo.name).predicts_ratios:  # which have no temperature
            texts |= {f"run, temperature {COOL}": partial(of_run, COOL)}
    fixed = [[position < corpus.begins for position in range(len(row))] for row in corpus.real]
    if scorer is not None:
        scorer.network.to(where)

    def measure(number: int, before: list[Fields]) -> Fields:
        name = names[number]
        print(f"audit: {name}", flush=True)
        rows = texts[name]()
        metrics = quality(rows, fixed, reference, scorer, tokenizer, PROTOCOLS[preset], seed)
        assert not math.isnan(metrics["divergence"])
        real = before[0]["metrics"] if before else metrics  # of REAL, the first
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
            "metrics": metrics | {"not_penalised": not_penalised(metrics, real)},
        }

    names, command = list(texts), mark_of([stored(settings), run and run.digest])
    record_rows(names, measure, show, settings.results, command, "generators")
    print(
        f"{len(corpus.real)} texts of {len(corpus.real[0])} tokens each, protocol {preset}; "
        f"records: {settings.results_dir}"
    )


def show(records: list[Fields]) -> None:
    print_table(*table({fields["algo"]: fields["metrics"] for fields in records}), caption=LEGEND)


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
