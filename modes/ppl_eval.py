"""mode=ppl_eval: perplexity of a trained run on a text, exact or as an upper bound, as one record;
with eval.corpora, on several."""

from collections.abc import Callable
from typing import Any

from modes import build, saved
from modes.reading import likelihood, protocol, zero_shot


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    run = saved.open_run(settings, overrides)
    if settings["eval"]["corpora"] is not None:
        zero_shot.run(run, settings, overrides, compose)
        return
    run = asked(run, settings, overrides)
    data = build.data(run.settings, devices=1)  # each rank takes its share of the blocks itself
    reading = likelihood.read(run, data, likelihood.reader(run, data.tokenizer.vocab_size))
    if reading is not None:
        likelihood.report(reading)


def asked(run: saved.Saved, settings: build.Settings, overrides: list[str]) -> saved.Saved:
    """The run under the protocol that the settings name."""
    given = saved.keys_of(overrides)
    return run._replace(settings=protocol.applied(run.settings, settings["protocol"], given))
