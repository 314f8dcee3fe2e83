"""One point of mode=sample_eval: its texts generated, measured, written and recorded."""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer
from evaluation import samples_file
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.gen_ppl.scorer import Scorer
from evaluation.samples_file import Text
from modes import build, trained_run
from modes.held_out import HeldOut
from modes.provenance import provenance
from modes.sample_eval import animation, generate
from modes.sample_eval.generate import SampleBatch
from modes.sample_eval.requests import Requests, beginning, read_requests
from modes.sample_eval.summary import measure, report
from modes.trained_run import TrainedRun
from samplers.build import SamplerConfig, Samples, sampler_config
from samplers.self_correction import correct
from samplers.trajectory import Trace
from training.signals import StopSignals

CORRECTION_DEFAULTS = {
    "self_correction": 0,
    "self_correction_temperature": 0.1,
    "self_correction_tokens": 1,
    "self_correction_patience": 32,
    "self_correction_time": 0.01,
}
# Keys that change no text: how many are shown, and files made of them.
NOT_THE_TEXTS = ("show", "animate", "sweep")
ANIMATED = 4  # texts of the page


class Context(NamedTuple):
    """The objects that all points of a sweep share."""

    signals: StopSignals
    settings: build.Settings
    run: TrainedRun
    tokenizer: Tokenizer
    algorithm: Algorithm
    trainer: L.Trainer
    scorer: Scorer | None
    reference: HeldOut | None


class Point(NamedTuple):
    """The keys of `sampling`, the texts that they ask for, and the sampler."""

    options: dict[str, Any]
    requests: Requests
    sampler: SamplerConfig


def make_point(
    settings: build.Settings, run: TrainedRun, tokenizer: Tokenizer, options: dict[str, Any]
) -> Point:
    """The requests and the sampler of `options`; ValueError, before a network is loaded, for what
    makes no sense."""
    window = run.settings["model"]["length"]
    begin = beginning(run.settings, tokenizer)
    sampler = sampler_config(options, run.settings["algo"], window, len(begin), tokenizer.eos)
    longest = options["length"] or window if sampler.any_length else window
    point_settings = settings | {"sampling": options}
    return Point(options, read_requests(point_settings, run.settings, tokenizer, longest), sampler)


def cache_of(context: Context, point: Point, alone: bool) -> BatchCache:
    """The batches of a point, by all that its texts depend on."""
    run, settings = context.run, context.settings
    options = {key: value for key, value in point.options.items() if key not in NOT_THE_TEXTS}
    weights = {"checkpoint": run.digest, "averaged": trained_run.averaged(run)}
    key = [options, weights, settings["seed"], [*map(list, point.requests.batches)]]
    folder = trained_run.output_directory(run)
    command = mark_of([settings, run.digest])
    return BatchCache(folder / "samples", key, f"eval.output_dir={folder}", command, alone)


class Generated(NamedTuple):
    """The texts of a point by batch, the states of the first ones where those are asked for, and
    the seconds that it took."""

    batches: list[SampleBatch]
    trace: Trace | None
    seconds: float


def generated(context: Context, point: Point, cache: BatchCache) -> Generated:
    """The texts of a point, on every process those of all."""
    began, (options, requests, sampler) = time.monotonic(), point
    trace = Trace(ANIMATED, context.tokenizer.vocab_size) if options["animate"] else None
    begin = partial(drawn, sampler=sampler, trace=trace) if requests.draws else generate.as_given
    seed, correct = context.settings["seed"], correction(options)
    end = sampler.end if requests.draws else None
    generator = generate.BatchGenerator(requests.batches, begin, correct, seed, cache, end)
    lengths = [len(batch.tokens[0]) for batch in requests.batches]
    steps = options["self_correction"]
    calls = (sampler.calls(lengths) if requests.draws else 0) + (steps + 1 if steps else 0)
    batches = generate.generate(
        context.trainer, context.algorithm, generator, calls, trace is not None, context.signals
    )
    return Generated(batches, trace, time.monotonic() - began)


def evaluate(
    context: Context, point: Point, cache: BatchCache, generated: Generated
) -> dict[str, Any]:
    """The fields of the record of a point, whose texts are shown and written."""
    (options, requests, sampler), (batches, trace, seconds) = point, generated
    started, steps = time.monotonic() - seconds, options["self_correction"]
    texts = requests.in_order([text for batch in batches for text in batch.texts])
    fields = record(context, point, texts, batches, started)
    report(texts, context.tokenizer, fields, options["show"])
    protocol = fields["protocol"]
    name = f"texts-{steps}"
    if requests.draws:
        name = f"{protocol['predictor']}-{protocol['steps']}"
    file = written(cache.folder.parent, name, options, texts, requests.names, context.tokenizer)
    fields["metrics"]["samples"] = str(file)
    print(f"samples: {file}", flush=True)
    if trace is not None:
        run = context.run.settings
        title = f"{run['algo']['name']} on {run['data']['name']}: {name}"
        facts = {key: str(value) for key, value in sampler.protocol().items()}
        page = animation.write_page(
            file.with_suffix(".html"), title, trace.trajectories(), context.tokenizer, facts
        )
        print(f"trajectories: {page}")
    print(f"record: {cache.record(Path(context.settings['results_dir']), fields)}")
    return fields


def written(folder: Path, *content: Any) -> Path:
    """The file of samples; OSError that names the key where it cannot be written."""
    try:
        return samples_file.write_samples(folder, *content)
    except OSError as error:
        raise OSError(
            f"eval.output_dir={folder.parent}: cannot write the samples: {error.strerror}"
        ) from error


def drawn(
    algorithm: Algorithm,
    tokens: Tensor,
    fixed: Tensor,
    number: int,
    sampler: SamplerConfig,
    trace: Trace | None,
) -> Samples:
    """A batch of samples; `trace` records the first batch."""
    return sampler.draw(algorithm, tokens, fixed, trace if number == 0 else None)


def record(
    context: Context,
    point: Point,
    texts: list[Text],
    batches: list[SampleBatch],
    started: float,
) -> dict[str, Any]:
    """The fields of the record of `texts`, which came in `batches`."""
    run, tokenizer, settings = context.run, context.tokenizer, context.settings
    requests, device = point.requests, context.trainer.strategy.root_device
    fixed = requests.in_order([row for batch in requests.batches for row in batch.fixed])
    fixed = [row[: len(text.tokens)] for row, text in zip(fixed, texts, strict=True)]
    calls = sum(batch.evaluations for batch in batches) / len(texts)
    seconds = sum(batch.seconds for batch in batches) / context.trainer.world_size
    fields = provenance(run, context.algorithm, started, device)
    fields |= identity(run, settings, point, tokenizer, scored_by(context.scorer, settings))
    if context.scorer is not None:
        context.scorer.network.to(device)
    reference, preset = context.reference, settings["eval"]["quality_protocol"]
    rows = None if reference is None else reference.rows
    fields |= measure(texts, fixed, rows, context.scorer, tokenizer, preset, settings["seed"])
    fields["metrics"] |= {
        "network_evaluations": calls,
        "positions_read": sum(batch.positions for batch in batches) / len(texts),
        "tokens_per_second": sum(len(text.tokens) for text in texts) / seconds,
        "seconds": seconds,
    }
    fields["data"]["tokens_sha256"] = reference and reference.tokens_sha256
    sampler = {k: v for k, v in fields["protocol"].items() if k not in ("scorer", "quality")}
    return fields | {"sampler": sampler | {"network_evaluations": calls}}


def identity(
    run: TrainedRun,
    settings: build.Settings,
    point: Point,
    tokenizer: Tokenizer,
    scoring: dict[str, Any],
) -> dict[str, Any]:
    """The fields that tell the record of a point from others of the same checkpoint; `scoring` is
    that of `scored_by`. Texts of a file are no samples of the run, so their metric has another
    name."""
    options, requests, sampler = point
    return {
        "metric": "samples" if requests.draws else "corrected_samples",
        "seed": settings["seed"],
        "count": len(requests.order),
        "protocol": requests.protocol
        | (sampler.protocol() if requests.draws else {})
        | corrected_with(options)
        | scoring,
        "data": {"name": run.settings["data"]["name"], "digest": tokenizer.digest},
    }


def corrected_with(options: dict[str, Any]) -> dict[str, Any]:
    """The settings of self-correction that are not the defaults, where it is on."""
    if not options["self_correction"]:
        return {}
    defaults = CORRECTION_DEFAULTS.items()
    return {key: options[key] for key, default in defaults if options[key] != default}


def scored_by(scorer: Scorer | None, settings: build.Settings) -> dict[str, Any]:
    """The scoring model without its path on this machine, and the protocol of quality; empty
    without a scoring model."""
    if scorer is None:
        return {}
    provenance = {key: value for key, value in scorer.provenance.items() if key != "scorer"}
    return {"scorer": provenance, "quality": settings["eval"]["quality_protocol"]}


def correction(options: dict[str, Any]) -> generate.Correct | None:
    """Self-correction with the settings of `options`, None where it is off."""
    if not options["self_correction"]:
        return None
    keywords = {key.removeprefix("self_correction_"): options[key] for key in CORRECTION_DEFAULTS}
    keywords["steps"] = keywords.pop("self_correction")
    return partial(correct, **keywords)
