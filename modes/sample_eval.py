"""mode=sample_eval: texts from a trained run, on screen and in a file, and their statistics as one
record; with sampling.sweep one for every point of a product of settings."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.gen_ppl import Judge
from evaluation.quality import unigram_entropy
from evaluation.records import write_record
from modes import build, saved
from modes.checks.drawing import check_sampling
from modes.checks.sampling import points
from modes.judging.held_out import HeldOut, held_out
from modes.judging.judge import open_judge
from modes.sampling import animation, drawing, frontier, plans, texts
from modes.sampling.kept import Kept
from modes.sampling.summary import measure, report
from modes.sampling.texts import Text
from modes.sampling.trace import Trace
from modes.sampling.way import Way, way

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
    """What every point of a sweep shares: the run, what it is rebuilt from, and who judges it."""

    settings: build.Settings
    run: saved.Saved
    algo: dict[str, Any]
    tokenizer: Tokenizer
    algorithm: Algorithm
    trainer: L.Trainer
    judge: Judge | None
    reference: HeldOut | None


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    run, options = saved.open_run(settings, overrides), settings["sampling"]
    algo = able(run.settings["algo"], compose)

    check_sampling(algo, options)
    swept, chosen = options["sweep"] or {}, [options]
    if swept:
        chosen = points(swept, options, partial(check_sampling, algo))
    tokenizer = make_tokenizer(run.settings["data"]["tokenizer_name_or_path"])
    every = [planned(settings, run, algo, tokenizer, point) for point in chosen]
    judge = open_judge(settings, tokenizer)
    algorithm = saved.restore(run, tokenizer.vocab_size)
    trainer = build.trainer(run.settings, [], fitting=False, share_batches=True)
    reference = held_out(settings, run.settings)
    shared = (run, algo, tokenizer, algorithm, trainer, judge, reference)
    job, rows = Job(settings, *shared), []
    for number, (point, (plan, how)) in enumerate(zip(chosen, every, strict=True), start=1):
        here = {key: point[key] for key in swept}
        if swept and trainer.is_global_zero:
            print(f"--- point {number} of {len(chosen)}: {here}")
        fields = evaluate(job, point, plan, how)
        if fields is not None:
            rows.append(here | summary_of(fields))
    if swept and trainer.is_global_zero:
        show_frontier(rows, reference, Path(settings["results_dir"]), algo["name"])


def show_frontier(
    rows: list[dict[str, Any]], reference: HeldOut | None, folder: Path, name: str
) -> None:
    """The points of a sweep as a table on screen and a picture in `folder`."""
    entropy = None if reference is None else unigram_entropy(reference.rows).mean
    print(frontier.table(rows, entropy))
    stem = folder / f"frontier-{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    print("frontier: " + ", ".join(map(str, frontier.picture(rows, stem, entropy))))


def planned(
    settings: build.Settings,
    run: saved.Saved,
    algo: dict[str, Any],
    tokenizer: Tokenizer,
    options: dict[str, Any],
) -> tuple[plans.Plan, Way]:
    """What is drawn and how, refused where it makes no sense: before a network is loaded."""
    window = run.settings["model"]["length"]
    chosen = way(options, algo, window, len(plans.beginning(run.settings, tokenizer)))
    longest = window if chosen.predictor != "semi_ar" else options["length"] or window
    return plans.plan(settings | {"sampling": options}, run.settings, tokenizer, longest), chosen


def able(algo: build.Settings, compose: Callable[..., Any]) -> build.Settings:
    """The run's algorithm, with what can be done with it as today's files say: a run of an earlier
    version may say less."""
    today = compose([f"algo={algo['name']}"])["algo"]
    return algo | {key: today[key] for key in ("predictors", "corrects")}


def evaluate(
    job: Job, options: dict[str, Any], plan: plans.Plan, how: Way
) -> dict[str, Any] | None:
    """Draws the texts of a plan, writes and shows them; the fields of the record, on the process
    that writes it."""
    started, run, trainer, settings = time.monotonic(), job.run, job.trainer, job.settings
    folder = run.file.parent.parent / "samples"
    said = plan.protocol | (how.protocol() if plan.draws else {}) | corrected_how(options)
    said |= judged_how(job.judge, settings)
    what = {key: value for key, value in options.items() if key not in NOT_THE_TEXTS}
    weights = {"checkpoint": run.digest, "averaged": saved.averaged(run)}
    kept = Kept(folder, [what, weights, settings["seed"], [*map(list, plan.batches)]])
    trace = Trace(ANIMATED, job.tokenizer.vocab_size) if options["animate"] else None
    begin = partial(begun, how=how, trace=trace) if plan.draws else drawing.as_given
    makes = drawing.Drawing(plan.batches, begin, correction(options), settings["seed"], kept)
    lengths = [len(batch.tokens[0]) for batch in plan.batches]
    steps = options["self_correction"]
    most = (how.calls(lengths) if plan.draws else 0) + (steps + 1 if steps else 0)
    batches = drawing.draw(trainer, job.algorithm, makes, most, trace is not None)
    if not trainer.is_global_zero:
        return None
    drawn = [text for batch in batches for text in batch.texts]
    made = [text for _, text in sorted(zip(plan.order, drawn, strict=True))]
    name = f"{said['predictor']}-{said['steps']}" if plan.draws else f"texts-{steps}"
    file = texts.write_samples(folder, name, options, made, plan.names, job.tokenizer)
    fields = record(job, made, batches, plan, said, started)
    fields["also"]["samples"] = str(file)
    path = write_record(settings["results_dir"], fields)
    kept.clear()
    report(made, job.tokenizer, fields, options["show"])
    print(f"samples: {file}\nrecord: {path}")
    if trace is not None:
        title = f"{job.algo['name']} on {job.run.settings['data']['name']}: {name}"
        facts = {key: str(value) for key, value in how.protocol().items()}
        page = animation.write_page(
            file.with_suffix(".html"), title, trace.trajectories(), job.tokenizer, facts
        )
        print(f"trajectories: {page}")
    return fields


def begun(
    algorithm: Algorithm, tokens: Tensor, fixed: Tensor, number: int, how: Way, trace: Trace | None
) -> Tensor:
    """A batch of samples; the first one is watched."""
    return how(algorithm, tokens, fixed, trace if number == 0 else None)


def record(
    job: Job,
    made: list[Text],
    batches: list[drawing.Made],
    plan: plans.Plan,
    said: dict[str, Any],
    started: float,
) -> dict[str, Any]:
    """The fields of the record. Texts of a file are no samples of the run, so their entropy goes by
    another name."""
    fixed = [row for batch in plan.batches for row in batch.fixed]
    given = [row for _, row in sorted(zip(plan.order, fixed, strict=True), key=lambda one: one[0])]
    calls = sum(batch.evaluations for batch in batches) / len(made)
    seconds = sum(batch.seconds for batch in batches) / job.trainer.world_size
    fields = saved.evidence(job.run, job.algorithm, started)
    rows = None if job.reference is None else job.reference.rows
    fields |= measure(
        made, given, rows, job.judge, job.tokenizer, job.settings, job.algorithm.device
    )
    fields["also"] |= {
        "network_evaluations": calls,
        "tokens_per_second": sum(len(text.tokens) for text in made) / seconds,
        "seconds": seconds,
    }
    return fields | {
        "metric": "entropy" if plan.draws else "corrected_entropy",
        "seed": job.settings["seed"],
        "protocol": said,
        "sampler": {key: said[key] for key in said.keys() - {"judge", "quality"}}
        | {"network_evaluations": calls},
        "data": {
            "name": job.run.settings["data"]["name"],
            "digest": job.tokenizer.digest,
            "tokens_sha256": job.reference and job.reference.tokens_sha256,
        },
    }


def summary_of(fields: dict[str, Any]) -> dict[str, Any]:
    """What the table of a sweep shows of a point."""
    names = ("gen_ppl", "gen_ppl_stderr", "distinct_2", "network_evaluations", "seconds")
    shown = {name: fields["also"].get(name) for name in names}
    return shown | {"entropy": fields["value"], "entropy_stderr": fields["stderr"]}


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
    known = {key: value for key, value in judge.evidence.items() if key != "judge"}
    return {"judge": known, "quality": settings["eval"]["quality_protocol"]}


def correction(options: dict[str, Any]) -> drawing.Correct | None:
    if not options["self_correction"]:
        return None
    own = {key.removeprefix("self_correction_"): options[key] for key in CORRECTION_DEFAULTS}
    own["steps"] = own.pop("self_correction")
    return partial(drawing.correct, **own)
