"""mode=sample_eval: texts from a trained run, on screen and in a file, and their statistics as one
record; with sampling.sweep one for every point of a product of settings."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from evaluation.batch_cache import BatchCache
from evaluation.sample_quality.metrics import unigram_entropy
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.checks.sweep import points
from modes.held_out import held_out
from modes.sample_eval import sweep_plot
from modes.sample_eval.point import Context, Generated, Point, cache_of, generated, make_point
from modes.sample_eval.record import evaluate
from modes.scorer import open_scorer
from modes.settings import Compose, Settings
from samplers.check import check_sampling
from training.signals import StopSignals

GOES_ON = "what was drawn is kept; the same command goes on"


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    check_writable(settings.results, "results_dir")
    run = trained_run.open_run(settings, overrides, compose=compose)
    check_writable(trained_run.output_directory(run), "eval.output_dir")
    asked = points(settings.sampling)
    for each in (settings.sampling, *asked):
        check_sampling(run.settings.algo, each)
    tokenizer = trained_run.open_tokenizer(run)
    every = [make_point(settings, run, tokenizer, point) for point in asked]
    with StopSignals(GOES_ON) as signals:
        scorer = open_scorer(settings, tokenizer)
        algorithm = trained_run.restore(run)
        trainer = build.trainer(run.settings, [], fitting=False, share_batches=True)
        wanted = settings.eval.reference
        if wanted is None:  # the text of a published model need not be on this machine
            wanted = run.model is None
        reference = held_out(trained_run.open_data(run)) if wanted else None
        context = Context(signals, settings, run, tokenizer, algorithm, trainer, scorer, reference)
        evaluate_points(context, list(settings.sampling.sweep or ()), every)


def evaluate_points(context: Context, swept: list[str], every: list[Point]) -> None:
    """A record for every point, and the table and picture of a sweep over the keys `swept`; points
    that the same command recorded before it was stopped are left as they are.

    Of several processes the first one measures, once the texts of all points are there: the others
    would have to wait for it before the next point, and give up after a while."""
    first, alone = context.trainer.is_global_zero, context.trainer.world_size == 1
    values = [{key: getattr(point.sampling, key) for key in swept} for point in every]
    caches = [cache_of(context, point, alone=not swept) for point in every]

    def drawn() -> Iterator[Generated | None]:
        for number, path in enumerate(records):
            if swept and first:
                print(f"--- point {number + 1} of {len(every)}: {values[number]}")
            yield None if path else generated(context, every[number], caches[number])

    with ExitStack() as held:
        for cache in caches if first else ():
            held.enter_context(cache.held())
        # All at once: the first process removes them when it is done, and others may be late.
        records = [cache.recorded() for cache in caches]
        texts = drawn() if alone else list(drawn())
        if not first:
            return
        each = zip(every, caches, records, texts, strict=True)
        fields = [measured(context, *of_point) for of_point in each]
    if swept:
        show_sweep(context, list(map(sweep_plot.row_of, values, fields)))
    for cache in caches:
        cache.clear()


def measured(
    context: Context, point: Point, cache: BatchCache, record: Path | None, texts: Generated | None
) -> dict[str, Any]:
    """The fields of the record of a point, which is written unless it was before."""
    if record is None:
        assert texts is not None
        return evaluate(context, point, cache, texts)
    print(f"recorded before this command was stopped: {record}")
    fields: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return fields


def show_sweep(context: Context, rows: list[sweep_plot.Row]) -> None:
    """Prints the points of a sweep as a table and draws them in the results folder."""
    reference = context.reference
    entropy = None if reference is None else unigram_entropy(reference.rows)
    sweep_plot.show(rows, entropy)
    folder, name = context.settings.results, f"frontier-{context.run.settings.algo.name}"
    files = sweep_plot.picture(rows, folder, name, entropy)
    print("frontier: " + ", ".join(map(str, files)))
