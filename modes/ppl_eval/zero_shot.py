"""Several texts in one command: a record for each, one table."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from data.module import TokenDataModule
from evaluation.rounding import with_error
from modes import build, protocol, trained_run
from modes.ppl_eval import likelihood
from modes.ppl_eval.likelihood import Reading
from modes.trained_run import TrainedRun
from schema.check import check_name
from training.signals import StopSignals

ONE_TEXT = ("data", "data.name", "data.path", "data.valid_path")  # which eval.corpora says itself


class Text(NamedTuple):
    """An entry of eval.corpora, and the run with the settings to read it."""

    entry: str
    run: TrainedRun


def run(
    run: TrainedRun,
    settings: build.Settings,
    overrides: list[str],
    compose: Callable[..., Any],
    signals: StopSignals,
    command: str,
) -> None:
    """Every text of eval.corpora; those that cannot be had are named and set aside.

    ValueError before the first for a list that is none, and after the last where one was set
    aside."""
    chosen = [settings_of(entry, run, overrides, compose) for entry in entries(settings, overrides)]
    texts = [Text(entry, run._replace(settings=own, own_text=False)) for entry, own in chosen]
    tokenizer = trained_run.open_tokenizer(texts[0].run)
    by = likelihood.reader(texts[0].run, tokenizer.vocab_size, signals, command)
    rows: list[tuple[str, Reading]] = []
    missing: list[str] = []
    for text in texts:
        name = text.entry.partition(":")[0]
        try:
            data = opened(text.run)
        except (OSError, ValueError) as error:
            missing.append(name)
            if by.trainer.is_global_zero:
                print(f"{name}: set aside, {error}")
            continue
        reading = likelihood.read(text.run, data, by, partial(show, name))
        if reading is not None:
            print(f"{name}: {reading.path}")
            rows.append((name, reading))
    if rows:
        print("\n".join(table(rows)))
    if missing:
        names = f"{len(missing)} of {len(texts)} could not be had: {', '.join(missing)}"
        raise ValueError(f"eval.corpora: {names}")  # the others are not evaluated again
    for _, reading in rows:
        reading.cache.clear()


def entries(settings: build.Settings, overrides: list[str]) -> list[str]:
    """The names in eval.corpora; ValueError for none, for one twice, and where the command line
    names a text as well."""
    listed = settings["eval"]["corpora"]
    if not isinstance(listed, list) or not listed or not all(isinstance(e, str) for e in listed):
        raise ValueError(
            f"eval.corpora={listed}: a list such as [wikitext2,ptb,mine:FILE] of names of "
            f"configs/data or NAME:PATH is needed"
        )
    names = [entry.partition(":")[0] for entry in listed]
    for name in names:
        check_name("eval.corpora", name)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"eval.corpora={listed}: {name} is there twice")
    for key in ONE_TEXT:
        if key in trained_run.keys_of(overrides):
            raise ValueError(f"{key}: plays no part with eval.corpora, which names the texts")
    return listed


def settings_of(
    entry: str, run: TrainedRun, overrides: list[str], compose: Callable[..., Any]
) -> tuple[str, build.Settings]:
    """What evaluates one text: a file of configs/data, or NAME:PATH, all of a file or folder."""
    name, _, path = entry.partition(":")
    its = compose([*overrides, f"data={'text' if path else name}"])
    if path:
        its["data"] |= {"name": name, "path": path, "valid_path": path}
    given = trained_run.keys_of(overrides)
    merged = trained_run.merged(its, run.checkpoint["config"], given | {"data"})
    return entry, protocol.applied(merged, its["protocol"], given)


def opened(run: TrainedRun) -> TokenDataModule:
    """The text as blocks; OSError or ValueError where it cannot be had or has none."""
    data = trained_run.open_data(run)
    data.blocks("valid")
    return data


def perplexity(fields: dict[str, Any]) -> str:
    """With its error, where it is a bound."""
    if fields["kind"] == "exact":
        return with_error(fields["value"], None, 4)
    return with_error(fields["value"], fields["stderr"], 4, "<= ")


def show(name: str, fields: dict[str, Any]) -> None:
    print(f"{name}: perplexity {perplexity(fields)}", flush=True)


def table(rows: list[tuple[str, Reading]]) -> list[str]:
    """Lines of text: corpus, scored tokens, perplexity with its error, bits per byte."""
    cells = [("corpus", "tokens", "perplexity", "bits per byte")]
    for name, (fields, _, _) in rows:
        bits = fields["metrics"].get("bits_per_byte")
        said = "" if bits is None else likelihood.in_bits(fields)
        cells.append((name, f"{fields['count']:,}", perplexity(fields), said))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells
    ]
