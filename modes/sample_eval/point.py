"""One point of mode=sample_eval: its texts drawn, measured, written and recorded."""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer
from evaluation.batch_cache import BatchCache
from evaluation.gen_ppl.scorer import Judge
from modes import build, trained_run
from modes.held_out import HeldOut
from modes.sample_eval import animation, generate, input_texts, requests
from modes.sample_eval.input_texts import Text
from modes.sample_eval.summary import measure, report
from modes.trained_run import TrainedRun
from samplers.build import Way
from samplers.trajectory import Trace
from training.signals import StopSignals

CORRECTION_DEFAULTS = {
    "self_correction": 0,
    "self_correction_temperature": 0.1,
    "self_correction_tokens": 1,
    "self_correction_patience": 32,
    "self_correction_time": 0.01,
}
# What says nothing of the texts: how many are shown, and what is made of them.
NOT_THE_TEXTS = ("show", "animate", "sweep")
ANIMATED = 4  # texts of the page


class Job(NamedTuple):
    """What every point of a sweep shares: the command, the run, what it is rebuilt from, and who
    judges it."""

    signals: StopSignals
    command: str
    settings: build.Settings
    run: TrainedRun
    algo: dict[str, Any]
    tokenizer: Tokenizer
    algorithm: Algorithm
    trainer: L.Trainer
    judge: Judge | None
    reference: HeldOut | None


def cache_of(job: Job, options: dict[str, Any], plan: requests.Plan, alone: bool) -> BatchCache:
    """Where the batches of a point are kept, by all that its texts depend on."""
    what = {key: value for key, value in options.items() if key not in NOT_THE_TEXTS}
    weights = {"checkpoint": job.run.digest, "averaged": trained_run.averaged(job.run)}
    key = [what, weights, job.settings["seed"], [*map(list, plan.batches)]]
    folder = trained_run.output_directory(job.run)
    setting = f"eval.output_dir={folder}"
    return BatchCache(folder / "samples", key, setting, job.command, alone)


def evaluate(
    job: Job, options: dict[str, Any], plan: requests.Plan, how: Way, cache: BatchCache
) -> dict[str, Any] | None:
    """Draws the texts of a plan, shows and writes them; the fields of the record, on the process
    that writes it."""
    started, trainer = time.monotonic(), job.trainer
    said = plan.protocol | (how.protocol() if plan.draws else {}) | corrected_how(options)
    said |= judged_how(job.judge, job.settings)
    trace = Trace(ANIMATED, job.tokenizer.vocab_size) if options["animate"] else None
    begin = partial(begun, how=how, trace=trace) if plan.draws else generate.as_given
    seed = job.settings["seed"]
    makes = generate.Drawing(plan.batches, begin, correction(options), seed, cache)
    lengths = [len(batch.tokens[0]) for batch in plan.batches]
    steps = options["self_correction"]
    most = (how.calls(lengths) if plan.draws else 0) + (steps + 1 if steps else 0)
    watched = trace is not None
    batches = generate.draw(trainer, job.algorithm, makes, most, watched, job.signals)
    if not trainer.is_global_zero:
        return None
    drawn = [text for batch in batches for text in batch.texts]
    made = [text for _, text in sorted(zip(plan.order, drawn, strict=True))]
    fields = record(job, made, batches, plan, said, started)
    report(made, job.tokenizer, fields, options["show"])
    name = f"{said['predictor']}-{said['steps']}" if plan.draws else f"texts-{steps}"
    file = written(cache.folder.parent, name, options, made, plan.names, job.tokenizer)
    fields["metrics"]["samples"] = str(file)
    print(f"samples: {file}", flush=True)
    if trace is not None:
        title = f"{job.algo['name']} on {job.run.settings['data']['name']}: {name}"
        facts = {key: str(value) for key, value in how.protocol().items()}
        page = animation.write_page(
            file.with_suffix(".html"), title, trace.trajectories(), job.tokenizer, facts
        )
        print(f"trajectories: {page}")
    print(f"record: {cache.record(Path(job.settings['results_dir']), fields)}")
    return fields


def written(folder: Path, *what: Any) -> Path:
    """The file of samples; OSError that names the key where it cannot be written."""
    try:
        return input_texts.write_samples(folder, *what)
    except OSError as error:
        raise OSError(
            f"eval.output_dir={folder.parent}: cannot write the samples: {error.strerror}"
        ) from error


def begun(
    algorithm: Algorithm, tokens: Tensor, fixed: Tensor, number: int, how: Way, trace: Trace | None
) -> Tensor:
    """A batch of samples; the first one is watched."""
    return how(algorithm, tokens, fixed, trace if number == 0 else None)


def record(
    job: Job,
    made: list[Text],
    batches: list[generate.Made],
    plan: requests.Plan,
    said: dict[str, Any],
    started: float,
) -> dict[str, Any]:
    """The fields of the record. Texts of a file are no samples of the run, so their entropy goes by
    another name."""
    fixed = [row for batch in plan.batches for row in batch.fixed]
    given = [row for _, row in sorted(zip(plan.order, fixed, strict=True), key=lambda one: one[0])]
    calls = sum(batch.evaluations for batch in batches) / len(made)
    seconds = sum(batch.seconds for batch in batches) / job.trainer.world_size
    on = job.trainer.strategy.root_device
    fields = trained_run.provenance(job.run, job.algorithm, started, on)
    rows = None if job.reference is None else job.reference.rows
    fields |= measure(made, given, rows, job.judge, job.tokenizer, job.settings, on)
    fields["metrics"] |= {
        "network_evaluations": calls,
        "tokens_per_second": sum(len(text.tokens) for text in made) / seconds,
        "seconds": seconds,
    }
    return fields | {
        "metric": "samples" if plan.draws else "corrected_samples",
        "seed": job.settings["seed"],
        "protocol": said,
        "sampler": {key: said[key] for key in said.keys() - {"scorer", "quality"}}
        | {"network_evaluations": calls},
        "data": {
            "name": job.run.settings["data"]["name"],
            "digest": job.tokenizer.digest,
            "tokens_sha256": job.reference and job.reference.tokens_sha256,
        },
    }


def corrected_how(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of self-correction, where it is on."""
    if not options["self_correction"]:
        return {}
    known = CORRECTION_DEFAULTS.items()
    return {key: options[key] for key, default in known if options[key] != default}


def judged_how(judge: Judge | None, settings: build.Settings) -> dict[str, Any]:
    """Who judges and how, where somebody does; not where on this machine it lies."""
    if judge is None:
        return {}
    known = {key: value for key, value in judge.evidence.items() if key != "scorer"}
    return {"scorer": known, "quality": settings["eval"]["quality_protocol"]}


def correction(options: dict[str, Any]) -> generate.Correct | None:
    if not options["self_correction"]:
        return None
    own = {key.removeprefix("self_correction_"): options[key] for key in CORRECTION_DEFAULTS}
    own["steps"] = own.pop("self_correction")
    return partial(generate.correct, **own)
