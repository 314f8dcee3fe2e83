"""The record of a point of mode=sample_eval, its report, its file of samples, its page."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from operator import ne
from statistics import fmean
from typing import Any

from data.tokenizers import Tokenizer
from evaluation.batch_cache import BatchCache
from evaluation.gen_ppl.protocols import PROTOCOLS
from evaluation.gen_ppl.scorer import Scorer
from evaluation.rounding import fixed as rounded
from evaluation.rounding import places_of, with_error
from evaluation.sample_quality.metrics import unigram_entropy
from evaluation.sample_quality.report import Reference, drawn, quality
from evaluation.samples_file import Text, write_samples
from modes.provenance import provenance
from modes.sample_eval import animation
from modes.sample_eval.generate import SampleBatch
from modes.sample_eval.point import CORRECTION_DEFAULTS, Context, Generated, Point
from modes.settings import Settings
from modes.trained_run import TrainedRun, writing
from storage import write_atomic

Masks = Sequence[list[bool]]
SHOWN = {  # name in the report, digits
    "distinct_1": ("distinct-1", 3),
    "distinct_2": ("distinct-2", 3),
    "distinct_3": ("distinct-3", 3),
    "repetition": ("repetition", 3),
    "gen_ppl": ("generative perplexity", 3),
    "mauve": ("MAUVE", 3),
    "divergence": ("divergence from held-out text", 4),
    "two_sample_accuracy": ("two-sample accuracy against it", 3),
}


def evaluate(
    context: Context, point: Point, cache: BatchCache, generated: Generated
) -> dict[str, Any]:
    """The fields of the record of a point, whose texts are shown and written."""
    (sampling, requests, sampler), (batches, trace, seconds) = point, generated
    started, tokenizer = time.monotonic() - seconds, context.tokenizer
    texts = requests.in_order([text for batch in batches for text in batch.texts])
    fields = record(context, point, texts, batches, started)
    report(texts, tokenizer, fields, sampling.show)
    how, name = fields["protocol"], f"texts-{sampling.self_correction}"
    if requests.draws:
        name = "-".join(str(how[key]) for key in ("predictor", "steps") if how[key] is not None)
    folder = cache.folder.parent
    with writing(folder.parent, "samples"):
        file = write_samples(folder, name, asdict(sampling), texts, requests.names, tokenizer)
    fields["metrics"]["samples"] = str(file)
    print(f"samples: {file}", flush=True)
    if trace is not None:
        run = context.run.settings
        title = f"{run.algo.name} on {run.data.name}: {name}"
        facts = {key: str(value) for key, value in sampler.protocol().items()}
        page = file.with_suffix(".html")
        write_atomic(page, animation.page(title, trace.trajectories(), tokenizer, facts))
        print(f"trajectories: {page}")
    print(f"record: {cache.record(context.settings.results, fields)}")
    return fields


def record(
    context: Context, point: Point, texts: list[Text], batches: list[SampleBatch], started: float
) -> dict[str, Any]:
    """The fields of the record of `texts`, which came in `batches`."""
    run, tokenizer, settings = context.run, context.tokenizer, context.settings
    requests, device = point.requests, context.trainer.strategy.root_device
    fixed = requests.in_order([row for batch in requests.batches for row in batch.fixed])
    fixed = [row[: len(text.tokens)] for row, text in zip(fixed, texts, strict=True)]
    calls = sum(batch.evaluations for batch in batches) / len(texts)
    seconds = sum(batch.seconds for batch in batches) / context.trainer.world_size
    fields = provenance(run, context.algorithm, started, device)
    scoring = scored_by(context.scorer, settings)
    fields |= identity(run, settings, point, tokenizer, scoring)
    if context.scorer is not None:
        context.scorer.network.to(device)
    reference, preset = context.reference, settings.eval.quality_protocol
    rows = None if reference is None else reference.rows
    fields |= measure(texts, fixed, rows, context.scorer, tokenizer, preset, settings.seed)
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
    run: TrainedRun, settings: Settings, point: Point, tokenizer: Tokenizer, scoring: dict[str, Any]
) -> dict[str, Any]:
    """The fields that tell the record of a point from others of the same checkpoint; `scoring` is
    that of `scored_by`. Texts of a file are no samples of the run, so their metric has another
    name."""
    sampling, requests, sampler = point
    usual = CORRECTION_DEFAULTS if sampling.self_correction else {}
    correction = {k: v for k, v in vars(sampling).items() if k in usual and v != usual[k]}
    return {
        "metric": "samples" if requests.draws else "corrected_samples",
        "seed": settings.seed,
        "count": len(requests.order),
        "protocol": requests.protocol
        | (sampler.protocol() if requests.draws else {})
        | correction
        | scoring,
        "data": {"name": run.settings.data.name, "digest": tokenizer.digest},
    }


def scored_by(scorer: Scorer | None, settings: Settings) -> dict[str, Any]:
    """The scoring model, without its path here, and the protocol of quality; empty without one."""
    if scorer is None:
        return {}
    provenance = {key: value for key, value in scorer.provenance.items() if key != "scorer"}
    return {"scorer": provenance, "quality": settings.eval.quality_protocol}


def measure(
    texts: list[Text],
    fixed: Masks,
    reference: list[list[int]] | None,
    scorer: Scorer | None,
    tokenizer: Tokenizer,
    preset: str,
    seed: int,
) -> dict[str, Any]:
    """The fields value, stderr, kind and metrics of a record: the mean entropy in nats of the
    tokens that are not `fixed`, and beside it all other statistics with their intervals, as the
    quality protocol `preset` says."""
    rows = [text.tokens for text in texts]
    held = None if reference is None else Reference(reference)
    metrics = quality(rows, fixed, held, scorer, tokenizer, PROTOCOLS[preset], seed)
    metrics["quality_protocol"]["name"] = preset
    return {
        "value": metrics.pop("entropy"),
        "stderr": metrics.pop("entropy_stderr"),
        "kind": "estimate",
        "metrics": metrics | corrections(texts, fixed),
    }


def corrections(texts: list[Text], fixed: Masks) -> dict[str, Any]:
    """The changes by self-correction, means over texts; nothing where it was off."""
    changes = [text.correction for text in texts if text.correction is not None]
    if not changes:
        return {}
    before = drawn([change.tokens for change in changes], fixed)
    after = drawn([text.tokens for text in texts], fixed)
    return {
        "entropy_before": unigram_entropy(before),
        "self_accuracy_before": fmean(change.before for change in changes),
        "self_accuracy_after": fmean(change.after for change in changes),
        "correction_steps": fmean(change.steps for change in changes),
        "tokens_changed": fmean(sum(map(ne, *pair)) for pair in zip(before, after, strict=True)),
    }


def report(texts: list[Text], tokenizer: Tokenizer, fields: dict[str, Any], show: int) -> None:
    """Prints the first `show` texts and the numbers of the record."""
    for number, text in enumerate(texts[:show], start=1):
        print(f"--- sample {number}\n{tokenizer.decode(text.tokens)}")
    metrics, lengths = fields["metrics"], sorted({len(text.tokens) for text in texts})
    longest = "" if len(lengths) == 1 else f" to {lengths[-1]}"
    print(f"--- {len(texts)} samples of {lengths[0]}{longest} tokens")
    entropy = with_error(fields["value"], fields["stderr"])
    print(f"entropy {entropy} nats{_held_out(metrics, 'entropy', 3)}")
    for name, (title, digits) in SHOWN.items():
        if name in metrics:
            places = places_of(metrics.get(f"{name}_stderr"), digits)
            value = rounded(metrics[name], places) + _interval(metrics, name, places)
            print(f"{title} {value}{_held_out(metrics, name, digits)}")
    if "gen_ppl" in metrics:
        preset = metrics["quality_protocol"]["name"]
        print(f"scored by {metrics['gen_ppl_scorer']['scorer']}, protocol {preset}")
    for name in ("gen_ppl", "mauve", "divergence"):
        if f"{name}_absent" in metrics:
            print(f"no {SHOWN[name][0]}: {metrics[f'{name}_absent']}")
    if "entropy_before" in metrics:
        print(
            "self-correction: entropy {entropy_before:.3f} -> {value:.3f} nats, self-accuracy "
            "{self_accuracy_before:.1%} -> {self_accuracy_after:.1%}; {tokens_changed:.4g} tokens "
            "changed in {correction_steps:.4g} steps".format(value=fields["value"], **metrics)
        )
    calls, speed = metrics["network_evaluations"], metrics["tokens_per_second"]
    print(f"{calls:.4g} network calls a text, {speed:,.0f} tokens per second")


def _interval(metrics: dict[str, Any], name: str, digits: int) -> str:
    ends = metrics.get(f"{name}_ci")
    return "" if ends is None else f" [{rounded(ends[0], digits)}, {rounded(ends[1], digits)}]"


def _held_out(metrics: dict[str, Any], name: str, digits: int) -> str:
    value = metrics.get(f"reference_{name}")
    return "" if value is None else f" (held-out text {value:.{digits}f})"
