"""mode=ppl_eval: perplexity of a trained run on a text, exact or as an upper bound, as one record;
with eval.corpora, on several."""

from collections.abc import Callable
from typing import Any

from evaluation.batch_cache import mark_of
from modes import build, protocol, trained_run
from modes.checks.folders import check_writable
from modes.ppl_eval import zero_shot
from modes.ppl_eval.likelihood import Evaluator, report
from modes.trained_run import TrainedRun
from training.signals import StopSignals

GOES_ON = "what was evaluated is kept; the same command goes on"


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    check_writable(settings["results_dir"], "results_dir")
    run = trained_run.open_run(settings, overrides, compose=compose)
    command = mark_of([settings, run.digest])
    with StopSignals(GOES_ON) as signals:
        if settings["eval"]["corpora"] is not None:
            zero_shot.run(run, settings, overrides, compose, signals, command)
            return
        run = under_protocol(run, settings, overrides)
        data = trained_run.open_data(run)
        evaluate = Evaluator(run, signals, command)
        evaluation = evaluate(run, data, report)
        if evaluation is not None:
            print(f"record: {evaluation.path}")
            evaluation.cache.clear()


def under_protocol(run: TrainedRun, settings: build.Settings, overrides: list[str]) -> TrainedRun:
    """The run under the protocol that the settings name."""
    given = trained_run.keys_of(overrides)
    return run._replace(settings=protocol.applied(run.settings, settings["protocol"], given))
