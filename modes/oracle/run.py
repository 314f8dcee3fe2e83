"""mode=oracle: the loss of each sampler with a network that knows the language, and with a trained
run that of its training; a table, and one record per row."""

from dataclasses import replace

import numpy as np
from tqdm import tqdm

from data.markov import MarkovLanguage
from data.settings import Data, Markov
from evaluation.batch_cache import mark_of
from evaluation.oracle import decomposition, losses
from modes import build, trained_run
from modes.checks.folders import check_writable
from modes.checks.keys import key_of
from modes.checks.oracle import check_oracle, check_samplers, samplers_of
from modes.oracle import report
from modes.oracle.measure import perfect, row
from modes.oracle.report import PERFECT, RUN
from modes.rows import Fields, record_rows
from modes.settings import Compose, Settings, stored
from samplers.check import check_sampling

FLOOR = 1  # the stream of random numbers for true texts


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    folder = settings.results
    check_writable(folder, "results_dir")
    run = None
    if settings.eval.checkpoint_path:
        run = trained_run.open_run(settings, overrides, compose=compose)
    composed = examined(run.settings if run else settings, overrides, compose)
    common = composed[0]
    language, device = language_of(common.data), build.root_device(settings)
    subjects = [perfect(variant, language, device) for variant in composed]
    if run is not None:
        trained = trained_run.restore(run).to(device)
        parts = decomposition.likelihood(
            subjects[0].algorithm,
            trained,
            language,
            count=settings.oracle.samples,
            length=run.settings.model.length,
            passes=settings.eval.passes,
            batch_size=settings.loader.eval_batch_size,
            seed=settings.seed,
        )
        for line in report.likelihood_lines(parts):
            print(line)
        subjects.append(subjects[0]._replace(algorithm=trained, run=run))
    rng = np.random.default_rng([settings.seed, FLOOR])
    samples, size = settings.oracle.samples, settings.loader.eval_batch_size
    true = losses.floor(language, samples, common.model.length - 1, rng)
    sizes = [min(size, samples - start) for start in range(0, samples, size)]
    rows = [(subject, sampler) for subject in subjects for sampler in subject.samplers]
    calls = [sampler.calls([common.model.length]) * len(sizes) for _, sampler in rows]
    keys = [
        [subject.settings.algo.name, PERFECT if subject.run is None else RUN, sampler.protocol()]
        for subject, sampler in rows
    ]
    with tqdm(desc="network calls", total=sum(calls), unit="call") as bar:

        def measure(number: int, before: list[Fields]) -> Fields:
            bar.update(sum(calls[:number]) - bar.n)  # what was saved
            return row(*rows[number], language, true, sizes, bar)

        def show(records: list[Fields]) -> None:
            bar.close()
            report.show(records, language)

        command = mark_of([stored(settings), run and run.digest])
        record_rows(keys, measure, show, folder, command, "rows")
    print(f"{len(rows)} records in {folder}")


def examined(base: Settings, overrides: list[str], compose: Compose) -> list[Settings]:
    """The settings of every algorithm; ValueError for what cannot be, before anything is built."""
    check_oracle(base)
    kept = [text for text in overrides if key_of(text) not in ("mode", "algo")]
    names, samplers = base.oracle.algos or [base.algo.name], base.oracle.samplers
    if names == [base.algo.name]:
        composed = [base]
    else:
        composed = [compose([*kept, f"algo={name}"]) for name in names]
    algos = [variant.algo for variant in composed]
    check_samplers(algos, samplers)
    for algo in algos:
        for name in samplers_of(algo, samplers):
            check_sampling(algo, replace(base.sampling, predictor=name))
    return composed


def language_of(data: Data) -> MarkovLanguage:
    assert isinstance(data, Markov)
    return MarkovLanguage(data.states, data.order, data.language_seed, data.concentration)
