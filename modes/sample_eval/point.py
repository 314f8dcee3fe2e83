"""One point of mode=sample_eval: its requests, its sampler, and its texts."""

import time
from functools import partial
from typing import Any, NamedTuple

import lightning as L
from torch import Tensor

from algos.base import Algorithm
from data.tokenizers import Tokenizer
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.gen_ppl.scorer import Scorer
from modes import trained_run
from modes.held_out import HeldOut
from modes.sample_eval import generate
from modes.sample_eval.generate import SampleBatch
from modes.sample_eval.requests import Requests, beginning, read_requests
from modes.settings import Plain, Settings, typed
from modes.trained_run import TrainedRun
from samplers.build import Samples, draw
from samplers.config import SamplerConfig, sampler_config
from samplers.self_correction import correct
from samplers.settings import Sampling
from samplers.trajectory import Trace
from schema.fields import settings_of
from training.signals import StopSignals

CORRECTION_DEFAULTS = {
    key: setting.default
    for key, setting in settings_of(Sampling).items()
    if key.startswith("self_correction")
}
# Keys that change no text: how many are shown, and files made of them.
NOT_THE_TEXTS = ("show", "animate", "sweep")
ANIMATED = 4  # texts of the page


class Context(NamedTuple):
    """The objects that all points of a sweep share."""

    signals: StopSignals
    settings: Plain
    run: TrainedRun
    tokenizer: Tokenizer
    algorithm: Algorithm
    trainer: L.Trainer
    scorer: Scorer | None
    reference: HeldOut | None

    @property
    def options(self) -> Settings:
        return typed(self.settings)


class Point(NamedTuple):
    """The keys of `sampling`, the texts that they ask for, and the sampler."""

    options: dict[str, Any]
    requests: Requests
    sampler: SamplerConfig

    @property
    def sampling(self) -> Sampling:
        return Sampling(**self.options)


def make_point(
    settings: Plain, run: TrainedRun, tokenizer: Tokenizer, options: dict[str, Any]
) -> Point:
    """The requests and the sampler of `options`; ValueError, before a network is loaded, for what
    makes no sense."""
    window = run.options.model.length
    begin = beginning(run.settings, tokenizer)
    sampler = sampler_config(options, run.settings["algo"], window, len(begin), tokenizer.eos)
    longest = Sampling(**options).length or window if sampler.any_length else window
    point_settings = settings | {"sampling": options}
    return Point(options, read_requests(point_settings, run.settings, tokenizer, longest), sampler)


def cache_of(context: Context, point: Point, alone: bool) -> BatchCache:
    """The batches of a point, by all that its texts depend on."""
    run, settings = context.run, context.settings
    options = {key: value for key, value in point.options.items() if key not in NOT_THE_TEXTS}
    weights = {"checkpoint": run.digest, "averaged": trained_run.averaged(run)}
    key = [options, weights, context.options.seed, [*map(list, point.requests.batches)]]
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
    trace = Trace(ANIMATED, context.tokenizer.vocab_size) if point.sampling.animate else None
    begin = partial(drawn, sampler=sampler, trace=trace) if requests.draws else generate.as_given
    seed, correct = context.options.seed, correction(options)
    end = sampler.end if requests.draws else None
    generator = generate.BatchGenerator(requests.batches, begin, correct, seed, cache, end)
    lengths = [len(batch.tokens[0]) for batch in requests.batches]
    steps = point.sampling.self_correction
    calls = (sampler.calls(lengths) if requests.draws else 0) + (steps + 1 if steps else 0)
    batches = generate.generate(
        context.trainer, context.algorithm, generator, calls, trace is not None, context.signals
    )
    return Generated(batches, trace, time.monotonic() - began)


def drawn(
    algorithm: Algorithm,
    tokens: Tensor,
    fixed: Tensor,
    number: int,
    sampler: SamplerConfig,
    trace: Trace | None,
) -> Samples:
    """A batch of samples; `trace` records the first batch."""
    return draw(sampler, algorithm, tokens, fixed, trace if number == 0 else None)


def correction(options: dict[str, Any]) -> generate.Correct | None:
    """Self-correction with the settings of `options`, None where it is off."""
    if not options["self_correction"]:
        return None
    keywords = {key.removeprefix("self_correction_"): options[key] for key in CORRECTION_DEFAULTS}
    keywords["steps"] = keywords.pop("self_correction")
    return partial(correct, **keywords)
