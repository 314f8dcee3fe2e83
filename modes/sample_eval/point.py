"""One point of mode=sample_eval: its requests, its sampler, and its texts."""

import time
from dataclasses import asdict
from functools import partial
from typing import NamedTuple

import lightning as L
import torch

from algos.base import Algorithm
from algos.denoising import DiffusionAlgorithm
from data.tokenizers import Tokenizer
from diffusion.times import seed_of
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.gen_ppl.scorer import Scorer
from evaluation.samples_file import Correction, Text
from modes import trained_run
from modes.held_out import HeldOut
from modes.sample_eval.generate import SampleBatch, generate
from modes.sample_eval.requests import Requests, beginning, read_requests
from modes.settings import Settings, stored
from modes.trained_run import TrainedRun
from samplers.blocks import cut
from samplers.build import draw
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
    settings: Settings
    run: TrainedRun
    tokenizer: Tokenizer
    algorithm: Algorithm
    trainer: L.Trainer
    scorer: Scorer | None
    reference: HeldOut | None


class Point(NamedTuple):
    """The node `sampling`, the texts that it asks for, and the sampler."""

    sampling: Sampling
    requests: Requests
    sampler: SamplerConfig


def make_point(
    settings: Settings, run: TrainedRun, tokenizer: Tokenizer, sampling: Sampling
) -> Point:
    """The requests and the sampler of `sampling`; ValueError, early, for what makes no sense."""
    window = run.settings.model.length
    begin = beginning(run.settings, tokenizer)
    sampler = sampler_config(sampling, run.settings.algo, window, len(begin), tokenizer.eos)
    longest = sampling.length or window if sampler.any_length else window
    size = settings.loader.eval_batch_size
    requests = read_requests(sampling, size, run.settings, tokenizer, longest)
    return Point(sampling, requests, sampler)


def cache_of(context: Context, point: Point, alone: bool) -> BatchCache:
    """The batches of a point, by all that its texts depend on."""
    run, settings = context.run, context.settings
    keys = asdict(point.sampling).items()
    options = {key: value for key, value in keys if key not in NOT_THE_TEXTS}
    weights = {"checkpoint": run.digest, "averaged": trained_run.averaged(run)}
    key = [options, weights, context.settings.seed, [*map(list, point.requests.batches)]]
    folder = trained_run.output_directory(run)
    command = mark_of([stored(settings), run.digest])
    return BatchCache(folder / "samples", key, f"eval.output_dir={folder}", command, alone)


class Generated(NamedTuple):
    """The texts of a point by batch, the states of the first if asked for, and the seconds."""

    batches: list[SampleBatch]
    trace: Trace | None
    seconds: float


def generated(context: Context, point: Point, cache: BatchCache) -> Generated:
    """The texts of a point, on every process those of all."""
    began, (_, requests, sampler) = time.monotonic(), point
    trace = Trace(ANIMATED, context.tokenizer.vocab_size) if point.sampling.animate else None
    make = partial(make_batch, point=point, seed=context.settings.seed, trace=trace)
    lengths = [len(batch.tokens[0]) for batch in requests.batches]
    steps = point.sampling.self_correction
    calls = (sampler.calls(lengths) if requests.draws else 0) + (steps + 1 if steps else 0)
    batches = generate(
        context.trainer,
        context.algorithm,
        make,
        len(requests.batches),
        cache,
        calls,
        redraw_first=trace is not None,
        signals=context.signals,
    )
    return Generated(batches, trace, time.monotonic() - began)


def make_batch(
    algorithm: Algorithm, number: int, point: Point, seed: int, trace: Trace | None
) -> SampleBatch:
    """A batch of texts, drawn or as given, then self-corrected or cut behind the first end that was
    drawn; `trace` records the first one."""
    sampling, requests, sampler = point
    torch.manual_seed(seed_of(seed, number))
    began, batch = time.monotonic(), requests.batches[number]
    fixed = torch.tensor(batch.fixed, device=algorithm.device)
    tokens = torch.tensor(batch.tokens, device=algorithm.device)
    evaluations, positions, end = 0, 0, None
    if requests.draws:
        first, end = trace if number == 0 else None, sampler.end
        tokens, evaluations, positions = draw(sampler, algorithm, tokens, fixed, first)
    if sampling.self_correction:
        names = {key.removeprefix("self_correction_"): key for key in CORRECTION_DEFAULTS}
        keywords = {name: getattr(sampling, key) for name, key in names.items()}
        keywords["steps"] = keywords.pop("self_correction")
        assert isinstance(algorithm, DiffusionAlgorithm)  # the check of the settings refuses others
        corrected, more = correct(algorithm, tokens, fixed, **keywords)
        evaluations, positions = evaluations + more, positions + more * tokens.shape[1]
        columns = (column.tolist() for column in (tokens, *corrected[1:]))
        texts = list(map(Text, corrected.tokens.tolist(), map(Correction, *columns)))
    else:
        pairs = zip(tokens.tolist(), batch.fixed, strict=True)
        texts = [Text(cut(row, given, end)) for row, given in pairs]
    return SampleBatch(texts, evaluations, positions, time.monotonic() - began)
