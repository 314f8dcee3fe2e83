"""mode=ppl_eval: perplexity of a trained run on a text, exact or as an upper bound, as one record;
with eval.corpora, on several."""

from evaluation.batch_cache import mark_of
from modes import protocol, trained_run
from modes.checks.folders import check_writable
from modes.checks.keys import keys_of
from modes.ppl_eval import zero_shot
from modes.ppl_eval.likelihood import Evaluator, report
from modes.settings import Compose, Settings, stored
from modes.trained_run import TrainedRun
from samplers.check import check_ordered_run
from training.signals import StopSignals

GOES_ON = "what was evaluated is kept; the same command goes on"


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    check_writable(settings.results, "results_dir")
    run = trained_run.open_run(settings, overrides, compose=compose)
    if settings.eval.order is not None:
        algo, length = run.settings.algo, run.settings.model.length
        check_ordered_run(algo, settings.eval.order, settings.sampling, length)
    command = mark_of([stored(settings), run.digest])
    with StopSignals(GOES_ON) as signals:
        if settings.eval.corpora is not None:
            zero_shot.run(run, settings, overrides, compose, signals, command)
            return
        run = under_protocol(run, settings, overrides)
        data = trained_run.open_data(run, run.settings.eval.stride)
        evaluate = Evaluator(run, signals, command)
        evaluation = evaluate(run, data, report)
        if evaluation is not None:
            print(f"record: {evaluation.path}")
            evaluation.cache.clear()


def under_protocol(run: TrainedRun, settings: Settings, overrides: list[str]) -> TrainedRun:
    """The run under the protocol that the settings name."""
    own = protocol.applied(run.settings, settings.protocol, keys_of(overrides))
    return run._replace(settings=own)
