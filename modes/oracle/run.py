"""mode=oracle: the loss of each sampler with a network that knows the language, and with a trained
run that of its training; a table, and one record per row."""

from dataclasses import replace

import numpy as np

from data.markov import MarkovLanguage
from data.settings import Data, Markov
from evaluation.batch_cache import BatchCache, mark_of
from evaluation.oracle import decomposition, losses
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.checks.oracle import check_oracle, check_samplers, samplers_of
from modes.oracle import report
from modes.oracle.measure import measured, perfect
from modes.settings import Compose, Plain, typed
from samplers.check import check_sampling
from training.signals import StopSignals

FLOOR = 1  # the stream of random numbers for true texts


def run(settings: Plain, overrides: list[str], compose: Compose) -> None:
    options = typed(settings)
    folder = options.results
    check_writable(folder, "results_dir")
    run = None
    if options.eval.checkpoint_path:
        run = trained_run.open_run(settings, overrides, compose=compose)
    composed = examined(run.settings if run else settings, overrides, compose)
    common = typed(composed[0])
    language, device = language_of(common.data), build.root_device(settings)
    subjects = [perfect(variant, language, device) for variant in composed]
    if run is not None:
        trained = trained_run.restore(run).to(device)
        parts = decomposition.likelihood(
            subjects[0].algorithm,
            trained,
            language,
            count=options.oracle.samples,
            length=run.options.model.length,
            passes=options.eval.passes,
            batch_size=options.loader.eval_batch_size,
            seed=options.seed,
        )
        for line in report.likelihood_lines(parts):
            print(line)
        subjects.append(subjects[0]._replace(algorithm=trained, run=run))
    rng = np.random.default_rng([options.seed, FLOOR])
    true = losses.floor(language, options.oracle.samples, common.model.length - 1, rng)
    rows: list[report.Fields] = []
    command = mark_of([settings, run and run.digest])
    total = sum(len(subject.samplers) for subject in subjects)
    caches: list[BatchCache] = []
    with StopSignals() as signals:
        try:
            for fields, cache in measured(subjects, language, true, options, command):
                rows.append(fields)
                caches.append(cache)
                if cache.recorded() is None:
                    cache.record(folder, fields)
                signals.kept = f"{len(rows)} of {total} rows are recorded; the same command goes on"
        finally:  # also of a record that cannot be written
            if rows:
                report.show(rows, language)
    print(f"{len(rows)} records in {folder}")
    for cache in caches:
        cache.clear()


def examined(base: Plain, overrides: list[str], compose: Compose) -> list[Plain]:
    """The settings of every algorithm; ValueError for what cannot be, before anything is built."""
    check_oracle(base)
    kept = [text for text in overrides if text.partition("=")[0] not in ("mode", "algo")]
    options = typed(base)
    names, samplers = options.oracle.algos or [options.algo.name], options.oracle.samplers
    if names == [options.algo.name]:
        composed = [base]
    else:
        composed = [compose([*kept, f"algo={name}"]) for name in names]
    algos = [typed(variant).algo for variant in composed]
    check_samplers(algos, samplers)
    for algo in algos:
        for name in samplers_of(algo, samplers):
            check_sampling(algo, replace(options.sampling, predictor=name))
    return composed


def language_of(data: Data) -> MarkovLanguage:
    assert isinstance(data, Markov)
    return MarkovLanguage(data.states, data.order, data.language_seed, data.concentration)
