"""The record of a point of mode=sample_eval, its file of samples, and its page."""

import time
from typing import Any

from data.tokenizers import Tokenizer
from evaluation.batch_cache import BatchCache
from evaluation.gen_ppl.scorer import Scorer
from evaluation.samples_file import Text, write_samples
from modes.provenance import provenance
from modes.sample_eval import animation
from modes.sample_eval.generate import SampleBatch
from modes.sample_eval.point import CORRECTION_DEFAULTS, Context, Generated, Point
from modes.sample_eval.summary import measure, report
from modes.settings import Plain, typed
from modes.trained_run import TrainedRun, writing
from storage import write_atomic


def evaluate(
    context: Context, point: Point, cache: BatchCache, generated: Generated
) -> dict[str, Any]:
    """The fields of the record of a point, whose texts are shown and written."""
    (options, requests, sampler), (batches, trace, seconds) = point, generated
    started, tokenizer = time.monotonic() - seconds, context.tokenizer
    texts = requests.in_order([text for batch in batches for text in batch.texts])
    fields = record(context, point, texts, batches, started)
    report(texts, tokenizer, fields, point.sampling.show)
    protocol, name = fields["protocol"], f"texts-{point.sampling.self_correction}"
    if requests.draws:
        name = f"{protocol['predictor']}-{protocol['steps']}"
    folder = cache.folder.parent
    with writing(folder.parent, "samples"):
        file = write_samples(folder, name, options, texts, requests.names, tokenizer)
    fields["metrics"]["samples"] = str(file)
    print(f"samples: {file}", flush=True)
    if trace is not None:
        run = context.run.options
        title = f"{run.algo.name} on {run.data.name}: {name}"
        facts = {key: str(value) for key, value in sampler.protocol().items()}
        page = file.with_suffix(".html")
        write_atomic(page, animation.page(title, trace.trajectories(), tokenizer, facts))
        print(f"trajectories: {page}")
    print(f"record: {cache.record(context.options.results, fields)}")
    return fields


def record(
    context: Context, point: Point, texts: list[Text], batches: list[SampleBatch], started: float
) -> dict[str, Any]:
    """The fields of the record of `texts`, which came in `batches`."""
    run, tokenizer, options = context.run, context.tokenizer, context.options
    requests, device = point.requests, context.trainer.strategy.root_device
    fixed = requests.in_order([row for batch in requests.batches for row in batch.fixed])
    fixed = [row[: len(text.tokens)] for row, text in zip(fixed, texts, strict=True)]
    calls = sum(batch.evaluations for batch in batches) / len(texts)
    seconds = sum(batch.seconds for batch in batches) / context.trainer.world_size
    fields = provenance(run, context.algorithm, started, device)
    scoring = scored_by(context.scorer, context.settings)
    fields |= identity(run, context.settings, point, tokenizer, scoring)
    if context.scorer is not None:
        context.scorer.network.to(device)
    reference, preset = context.reference, options.eval.quality_protocol
    rows = None if reference is None else reference.rows
    fields |= measure(texts, fixed, rows, context.scorer, tokenizer, preset, options.seed)
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
    run: TrainedRun, settings: Plain, point: Point, tokenizer: Tokenizer, scoring: dict[str, Any]
) -> dict[str, Any]:
    """The fields that tell the record of a point from others of the same checkpoint; `scoring` is
    that of `scored_by`. Texts of a file are no samples of the run, so their metric has another
    name."""
    options, requests, sampler = point
    defaults = CORRECTION_DEFAULTS.items() if options["self_correction"] else ()
    return {
        "metric": "samples" if requests.draws else "corrected_samples",
        "seed": typed(settings).seed,
        "count": len(requests.order),
        "protocol": requests.protocol
        | (sampler.protocol() if requests.draws else {})
        | {key: options[key] for key, default in defaults if options[key] != default}
        | scoring,
        "data": {"name": run.options.data.name, "digest": tokenizer.digest},
    }


def scored_by(scorer: Scorer | None, settings: Plain) -> dict[str, Any]:
    """The scoring model, without its path here, and the protocol of quality; empty without one."""
    if scorer is None:
        return {}
    provenance = {key: value for key, value in scorer.provenance.items() if key != "scorer"}
    return {"scorer": provenance, "quality": typed(settings).eval.quality_protocol}
