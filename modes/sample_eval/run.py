"""mode=sample_eval: texts from a trained run, on screen and in a file, and their statistics as one
record; with sampling.sweep one for every point of a product of settings."""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L

from algos.facts import facts_of
from data.tokenizers import Tokenizer
from evaluation.batch_cache import mark_of
from evaluation.sample_quality.metrics import unigram_entropy
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.checks.samplers import check_sampling
from modes.checks.sweep import points
from modes.held_out import HeldOut, held_out
from modes.sample_eval import generate, requests, sweep_plot
from modes.sample_eval.point import Job, cache_of, evaluate
from modes.scorer import open_judge
from modes.trained_run import TrainedRun
from samplers.build import SamplerConfig, sampler_config
from training.signals import StopSignals

GOES_ON = "what was drawn is kept; the same command goes on"


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    check_writable(settings["results_dir"], "results_dir")
    run, options = trained_run.open_run(settings, overrides), settings["sampling"]
    trained_run.check_output(run)
    algo = run.settings["algo"]
    check_sampling(algo, options)
    swept, chosen = options["sweep"] or {}, [options]
    if swept:
        chosen = points(swept, options, partial(check_sampling, algo))
    tokenizer = trained_run.open_tokenizer(run)
    every = [planned(settings, run, tokenizer, point) for point in chosen]
    command = mark_of([settings, run.digest])
    with StopSignals(GOES_ON) as signals:
        judge = open_judge(settings, tokenizer)
        algorithm = trained_run.restore(run, tokenizer.vocab_size)
        watching: list[L.Callback] = [generate.Looks(signals)]
        trainer = build.trainer(run.settings, watching, fitting=False, share_batches=True)
        wanted = settings["eval"]["reference"]
        reference = held_out(trained_run.open_data(run)) if wanted else None
        shared = (run, algo, tokenizer, algorithm, trainer, judge, reference)
        job = Job(signals, command, settings, *shared)
        evaluate_all(job, swept, [(point, *one) for point, one in zip(chosen, every, strict=True)])


def evaluate_all(
    job: Job,
    swept: dict[str, Any],
    chosen: list[tuple[dict[str, Any], requests.Plan, SamplerConfig]],
) -> None:
    """Every point; one that the same command recorded before it was stopped is left as it is."""
    rows, caches, speaks = [], [], job.trainer.is_global_zero
    fields: dict[str, Any] | None = None
    for number, (point, plan, how) in enumerate(chosen, start=1):
        here = {key: point[key] for key in swept}
        if swept and speaks:
            print(f"--- point {number} of {len(chosen)}: {here}")
        cache = cache_of(job, point, plan, alone=not swept)
        with cache.held() if speaks else nullcontext():
            path = cache.recorded()
            if path is None:
                fields = evaluate(job, point, plan, how, cache)
            elif speaks:
                fields = json.loads(path.read_text(encoding="utf-8"))
                print(f"recorded before this command was stopped: {path}")
        caches.append(cache)
        if fields is not None:
            rows.append(here | summary_of(fields))
    if not speaks:
        return
    if swept:
        folder = Path(job.settings["results_dir"])
        show_frontier(rows, job.reference, folder, job.algo["name"])
    for cache in caches:
        cache.clear()


def show_frontier(
    rows: list[dict[str, Any]], reference: HeldOut | None, folder: Path, name: str
) -> None:
    """The points of a sweep as a table on screen and a picture in `folder`."""
    entropy = None if reference is None else unigram_entropy(reference.rows).mean
    print(sweep_plot.table(rows, entropy))
    stem = folder / f"frontier-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    print("frontier: " + ", ".join(map(str, sweep_plot.picture(rows, stem, entropy))))


def planned(
    settings: build.Settings,
    run: TrainedRun,
    tokenizer: Tokenizer,
    options: dict[str, Any],
) -> tuple[requests.Plan, SamplerConfig]:
    """What is drawn and how, refused where it makes no sense: before a network is loaded."""
    window = run.settings["model"]["length"]
    begins = requests.beginning(run.settings, tokenizer)
    default = facts_of(run.settings["algo"]["name"]).samplers[0]
    chosen = sampler_config(options, default, window, len(begins))
    longest = options["length"] or window if chosen.facts.longer_than_network else window
    return requests.plan(settings | {"sampling": options}, run.settings, tokenizer, longest), chosen


def summary_of(fields: dict[str, Any]) -> dict[str, Any]:
    """What the table of a sweep shows of a point."""
    names = ("gen_ppl", "gen_ppl_stderr", "distinct_2", "network_evaluations", "seconds")
    shown = {name: fields["metrics"].get(name) for name in names}
    return shown | {"entropy": fields["value"], "entropy_stderr": fields["stderr"]}
