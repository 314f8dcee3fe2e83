"""Zero-shot perplexity: several texts in one command, a record for each, one table."""

from dataclasses import replace
from functools import partial

from data.settings import Text
from leaderboard.export.terminal import print_table
from modes import protocol, trained_run
from modes.checks.keys import keys_of
from modes.ppl_eval import likelihood
from modes.ppl_eval.likelihood import Evaluation, Evaluator
from modes.rows import Fields
from modes.run_settings import merged
from modes.settings import Compose, Settings
from modes.trained_run import TrainedRun
from schema.check import accepted
from schema.fields import settings_of
from training.signals import StopSignals

ONE_TEXT = ("data", "data.name", "data.path", "data.valid_path")  # which eval.corpora says itself
HEADERS = ("corpus", "tokens", "perplexity", "bits per byte")


def run(
    run: TrainedRun,
    settings: Settings,
    overrides: list[str],
    compose: Compose,
    signals: StopSignals,
    command: str,
) -> None:
    """Evaluates every text of eval.corpora; those that cannot be had are named and set aside.

    ValueError before the first for a list that is none, and after the last where one was set
    aside."""
    runs = []
    for entry in entries(settings, overrides):
        text_settings = settings_for(entry, run, overrides, compose)
        runs.append((name_of(entry), run._replace(settings=text_settings, own_text=False)))
    trained_run.open_tokenizer(runs[0][1])  # which fits, before a text is read
    evaluate = Evaluator(runs[0][1], signals, command)
    evaluations: dict[str, Evaluation] = {}
    missing: list[str] = []
    for name, its in runs:
        try:
            data = trained_run.open_data(its, its.settings.eval.stride)
            data.blocks("valid")
        except (OSError, ValueError) as error:
            missing.append(name)
            if evaluate.trainer.is_global_zero:
                print(f"{name}: set aside, {error}")
            continue
        evaluation = evaluate(its, data, partial(show, name))
        if evaluation is not None:
            print(f"{name}: {evaluation.path}")
            evaluations[name] = evaluation
    if evaluations:
        print_table(HEADERS, [row(name, each.fields) for name, each in evaluations.items()])
    if missing:
        names = f"{len(missing)} of {len(runs)} could not be had: {', '.join(missing)}"
        raise ValueError(f"eval.corpora: {names}")  # the others are not evaluated again
    for evaluation in evaluations.values():
        evaluation.cache.clear()


def entries(settings: Settings, overrides: list[str]) -> list[str]:
    """The entries of eval.corpora; ValueError for a name that is none or there twice, and where the
    command line names a text as well."""
    listed = settings.eval.corpora or []
    names = list(map(name_of, listed))
    for name in names:
        accepted("eval.corpora", name, settings_of(Text)["name"])
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"eval.corpora={listed}: {name} is there twice")
    for key in ONE_TEXT:
        if key in keys_of(overrides):
            raise ValueError(f"{key}: plays no part with eval.corpora, which names the texts")
    return listed


def name_of(entry: str) -> str:
    return entry.partition(":")[0]


def settings_for(entry: str, run: TrainedRun, overrides: list[str], compose: Compose) -> Settings:
    """The settings to evaluate the run on one text: a file of configs/data, or NAME:PATH."""
    name, _, path = entry.partition(":")
    settings = compose([*overrides, f"data={'text' if path else name}"])
    if path:
        assert isinstance(settings.data, Text)
        text = replace(settings.data, name=name, path=path, valid_path=path)
        settings = replace(settings, data=text)
    overridden = keys_of(overrides)
    own = merged(settings, run.stored, overridden | {"data"})
    return protocol.applied(own, settings.protocol, overridden)


def show(name: str, fields: Fields) -> None:
    print(f"{name}: perplexity {likelihood.perplexity(fields)}", flush=True)


def row(name: str, fields: Fields) -> list[str]:
    """The cells of one text below HEADERS."""
    perplexity, bits = likelihood.perplexity(fields), likelihood.bits(fields)
    return [name, f"{fields['count']:,}", perplexity, bits]
