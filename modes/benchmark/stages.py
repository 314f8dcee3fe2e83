"""What a row of a benchmark consists of, and which of it is done: a training by its checkpoint, an
evaluation by its record."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from data.module import TokenDataModule
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.record_schema import plain
from evaluation.records import Record, read_records
from modes import build, protocol, trained_run
from modes.benchmark.runs import JUDGE, MARK, Compose, Row, Settings, key_of
from modes.checks import sweep
from modes.ppl_eval import likelihood, zero_shot
from modes.ppl_eval import run as ppl_eval
from modes.sample_eval import run as sample_eval
from modes.sample_eval.point import corrected_how, judged_how
from modes.scorer import open_scorer
from modes.train import resume
from modes.train import run as train
from modes.trained_run import TrainedRun
from training.memory import forget_peak

WAITING = "its samples wait for {}, which judges them; the same command goes on"


class Stage(NamedTuple):
    """A part of a row's work that is not done yet."""

    kind: str
    run: Callable[[], None]


class Work:
    """The rows of one command, with what they share: each text that is evaluated is opened once."""

    def __init__(self, compose: Compose):
        self.compose = compose
        self._opened: dict[str, TokenDataModule] = {}
        self._judges: dict[tuple[str, str], dict[str, Any]] = {}

    def check(self, row: Row) -> None:
        """Refuses, before anything is trained, what would end a later stage of the row."""
        start, most = resume.resumed(row.settings), row.settings["trainer"]["max_steps"]
        if train.seconds_of(row.settings) is None and start.step > most:
            raise ValueError(
                f"checkpointing.save_dir={row.folder}: the run there has {start.step} steps, more "
                f"than the {most} of this benchmark; choose another checkpointing.save_dir"
            )
        given = trained_run.keys_of(row.overrides)
        protocol.applied(row.settings, row.settings["protocol"], given)
        run = TrainedRun({"config": row.settings}, Path(row.folder), "", row.settings)
        if row.settings["eval"]["corpora"] is not None:
            self._texts(run, evaluation(row, "ppl_eval"), row)
        tokenizer = make_tokenizer(trained_run.tokenizer_name(row.settings["data"]))
        for point in points(row):
            sample_eval.planned(row.settings, run, row.settings["algo"], tokenizer, point)

    def left(self, row: Row) -> list[Stage]:
        """What is not done, in order."""
        reads, draws = evaluation(row, "ppl_eval"), evaluation(row, "sample_eval")
        if not train.has_finished(resume.resumed(row.settings), row.settings):
            stages = [Stage("train", partial(train.run, row.settings, row.overrides, self.compose))]
            stages += [self._reading(row, reads)]
            return stages + [self._drawing(row, at(draws, one)) for one in points(row)]
        run = trained_run.open_run(reads, row.overrides)
        folder = Path(reads["results_dir"])
        records = read_records(folder)[0] if folder.is_dir() else []
        own = [one for one in records if digest_of(one) == run.digest]
        unread = self._unread(run, reads, row, own)
        stages = [] if unread is None else [self._reading(row, unread)]
        missing = points(row)  # a judge that is not trained yet has judged nothing
        if self.is_judged(row):
            missing = [one for one in missing if not self._drawn(at(draws, one), row, own)]
        return stages + [self._drawing(row, at(draws, one)) for one in missing]

    def run(self, row: Row) -> None:
        """What is left of a row, each stage announced on stderr; the samples only where the row
        that judges them has been trained."""
        for stage in self.left(row):
            if stage.kind == "sample_eval" and not self.is_judged(row):
                assert row.judge is not None
                print(f"{row.name}: {WAITING.format(row.judge.name)}", file=sys.stderr)
                return
            print(f"{MARK}{stage.kind}", file=sys.stderr, flush=True)
            forget_peak()
            stage.run()

    def is_judged(self, row: Row) -> bool:
        """Whether the samples of the row can be judged, as far as its judge is a row."""
        if row.judge is None:
            return True
        its = row.judge.settings
        return train.has_finished(resume.resumed(its), its)

    def _reading(self, row: Row, settings: Settings) -> Stage:
        work = partial(ppl_eval.run, settings, evaluated_by(row), self.compose)
        return Stage("ppl_eval", work)

    def _drawing(self, row: Row, settings: Settings) -> Stage:
        return Stage("sample_eval", partial(sample_eval.run, settings, row.overrides, self.compose))

    def _texts(self, run: TrainedRun, settings: Settings, row: Row) -> list[tuple[str, Settings]]:
        """The entries of eval.corpora with the settings to evaluate each."""
        own = evaluated_by(row)
        entries = zero_shot.entries(settings, own)
        return [(e, zero_shot.settings_of(e, run, own, self.compose)) for e in entries]

    def _unread(
        self, run: TrainedRun, settings: Settings, row: Row, own: list[Record]
    ) -> Settings | None:
        """The settings of what is still to be evaluated, None for nothing."""
        if settings["eval"]["corpora"] is None:
            return (
                None
                if self._read(ppl_eval.under_protocol(run, settings, row.overrides), own)
                else settings
            )
        texts = self._texts(run, settings, row)
        missing = [e for e, its in texts if not self._read(run._replace(settings=its), own)]
        return settings | {"eval": settings["eval"] | {"corpora": missing}} if missing else None

    def _read(self, run: TrainedRun, own: list[Record]) -> bool:
        """Whether there is a record of this likelihood."""
        chosen = run.settings
        key = json.dumps([chosen["data"], chosen["model"]["length"]], sort_keys=True)
        try:
            if key not in self._opened:
                self._opened[key] = build.data(chosen, devices=1)
            trainer = build.trainer(chosen, [], fitting=False)
            wanted = likelihood.identity(run, self._opened[key], trainer)
        except (OSError, ValueError):
            return False  # a text that cannot be had is named by the evaluation itself
        return any(agrees(one, wanted) for one in own)

    def _drawn(self, settings: Settings, row: Row, own: list[Record]) -> bool:
        """Whether there is a record of these samples."""
        run = trained_run.open_run(settings, row.overrides)
        tokenizer = trained_run.open_tokenizer(run)
        options = settings["sampling"]
        algo = sample_eval.able(run.settings["algo"], self.compose)
        plan, how = sample_eval.planned(settings, run, algo, tokenizer, options)
        said = plan.protocol | (how.protocol() if plan.draws else {})
        said |= corrected_how(options)
        said |= self._judged_how(settings, tokenizer)
        wanted = {
            "metric": "samples" if plan.draws else "corrected_samples",
            "seed": settings["seed"],
            "count": len(plan.order),
            "protocol": said,
            "data": {"name": run.settings["data"]["name"], "digest": tokenizer.digest},
        }
        weights = trained_run.averaged(run)
        alike = [one for one in own if one.fields["training"]["averaged_weights"] == weights]
        return any(agrees(one, wanted) for one in alike)

    def _judged_how(self, settings: Settings, tokenizer: Tokenizer) -> dict[str, Any]:
        """Who judges and how; a judge is loaded once for all rows with the same tokenizer."""
        key = str(settings["eval"][JUDGE]), tokenizer.digest
        if key not in self._judges:
            judge = open_scorer(settings, tokenizer)
            self._judges[key] = judged_how(judge, settings)
        return self._judges[key]


def evaluation(row: Row, mode: str) -> Settings:
    """The settings of an evaluation of the row's run."""
    chosen = row.settings["eval"] | {"checkpoint_path": row.folder}
    return row.settings | {"mode": mode, "eval": chosen}


def evaluated_by(row: Row) -> list[str]:
    """The overrides of the likelihood: with eval.corpora the text of the training is no part."""
    if row.settings["eval"]["corpora"] is None:
        return row.overrides
    return [text for text in row.overrides if key_of(text) not in zero_shot.ONE_TEXT]


def points(row: Row) -> list[dict[str, Any]]:
    """The ways in which a row is sampled: one, or those of sampling.sweep."""
    options = row.settings["sampling"]
    if not options["sweep"]:
        return [options]
    alone = options | {"sweep": None}
    return sweep.points(options["sweep"], alone, lambda point: None)  # checked already


def at(settings: Settings, point: dict[str, Any]) -> Settings:
    return settings | {"sampling": point}


def digest_of(record: Record) -> str | None:
    digest: str | None = record.fields["training"]["checkpoint_digest"]
    return digest


def agrees(record: Record, wanted: dict[str, Any]) -> bool:
    """Whether it says all of `wanted`; of its data, at least so much."""
    said = dict(record.fields)
    said["data"] = {key: said["data"].get(key) for key in wanted["data"]}
    return all(said[name] == plain(value, name) for name, value in wanted.items())
