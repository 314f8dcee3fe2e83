"""The stages of a row and which are done: a training by its checkpoint, the others by records."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.module import TokenDataModule
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.record_schema import plain
from evaluation.records import Record, read_records
from modes import build, protocol, trained_run
from modes.benchmark.runs import MARK, Row
from modes.checks.keys import key_of, keys_of
from modes.checks.sweep import points
from modes.ppl_eval import likelihood, zero_shot
from modes.ppl_eval import run as ppl_eval
from modes.run_settings import tokenizer_name
from modes.sample_eval import run as sample_eval
from modes.sample_eval.point import make_point
from modes.sample_eval.record import identity, scored_by
from modes.scorer import open_scorer
from modes.settings import Compose, Mode, Settings, stored
from modes.train import resume
from modes.train import run as train
from modes.trained_run import TrainedRun
from samplers.settings import Sampling
from training.memory import forget_peak

MODES: dict[str, Any] = {"train": train, "ppl_eval": ppl_eval, "sample_eval": sample_eval}
WAITING = "its samples wait for {}, which scores them; the same command goes on"


class Stages:
    """The stages of the rows of one command, which share the texts and scorers they open."""

    def __init__(self, compose: Compose):
        self.compose = compose
        self._opened: dict[str, TokenDataModule] = {}
        self._scorings: dict[tuple[str, str], dict[str, Any]] = {}

    def check(self, row: Row) -> None:
        """Refuses, before anything is trained, what would end a later stage of the row."""
        start, most = resume.resumed(row.settings), row.settings.trainer.max_steps
        if row.settings.training.max_seconds is None and start.step > most:
            raise ValueError(
                f"checkpointing.save_dir={row.folder}: the run there has {start.step} steps, more "
                f"than the {most} of this benchmark; choose another checkpointing.save_dir"
            )
        overridden = keys_of(row.overrides)
        protocol.applied(row.settings, row.settings.protocol, overridden)
        if row.settings.eval.corpora is not None:
            self._texts(untrained(row), evaluation(row, "ppl_eval"), row)
        distinct_points(row)

    def left(self, row: Row) -> list[Settings]:
        """The settings of the stages that are not done, in order; their mode says which it is."""
        reads, draws = evaluation(row, "ppl_eval"), evaluation(row, "sample_eval")
        samples = [replace(draws, sampling=point) for point in distinct_points(row)]
        if not train.has_finished(resume.resumed(row.settings), row.settings):
            return [replace(row.settings, mode="train"), reads, *samples]
        run, folder = trained_run.open_run(reads, row.overrides), row.settings.results
        records = read_records(folder)[0] if folder.is_dir() else []
        of_run = [record for record in records if record.checkpoint == run.digest]
        missing = self._missing_likelihoods(run, reads, row, of_run)
        if self.is_scored(row):  # a scorer that is not trained yet has scored nothing
            samples = [each for each in samples if not self._has_samples(each, row, of_run)]
        return samples if missing is None else [missing, *samples]

    def run(self, row: Row) -> None:
        """Runs the stages that are left, each announced on stderr; samples only where the row that
        scores them has been trained."""
        for settings in self.left(row):
            kind = settings.mode
            if kind == "sample_eval" and not self.is_scored(row):
                assert row.scorer is not None
                print(f"{row.name}: {WAITING.format(row.scorer.name)}", file=sys.stderr)
                return
            print(f"{MARK}{kind}", file=sys.stderr, flush=True)
            forget_peak()
            overrides = evaluated_by(row) if kind == "ppl_eval" else row.overrides
            MODES[kind].run(settings, overrides, self.compose)

    def is_scored(self, row: Row) -> bool:
        """Whether the samples of the row can be scored: once its scorer, a row too, is trained."""
        if row.scorer is None:
            return True
        settings = row.scorer.settings
        return train.has_finished(resume.resumed(settings), settings)

    def _texts(self, run: TrainedRun, settings: Settings, row: Row) -> list[tuple[str, Settings]]:
        """The entries of eval.corpora with the settings to evaluate each."""
        overrides = evaluated_by(row)
        return [
            (entry, zero_shot.settings_for(entry, run, overrides, self.compose))
            for entry in zero_shot.entries(settings, overrides)
        ]

    def _missing_likelihoods(
        self, run: TrainedRun, settings: Settings, row: Row, records: list[Record]
    ) -> Settings | None:
        """The settings of the evaluation that the records of the run lack, None for none."""
        if row.settings.eval.corpora is None:
            asked = ppl_eval.under_protocol(run, settings, row.overrides)
            return None if self._has_likelihood(asked, records) else settings
        texts = self._texts(run, settings, row)
        missing = [
            entry
            for entry, of_text in texts
            if not self._has_likelihood(run._replace(settings=of_text), records)
        ]
        evaluation = replace(settings.eval, corpora=missing)
        return replace(settings, eval=evaluation) if missing else None

    def _has_likelihood(self, run: TrainedRun, records: list[Record]) -> bool:
        settings, stride = run.settings, run.settings.eval.stride
        text = [stored(settings)["data"], stride, settings.model.length]
        key = json.dumps(text, sort_keys=True)
        try:
            if key not in self._opened:
                self._opened[key] = build.data(settings, devices=1, stride=stride)
            trainer = build.trainer(settings, [], fitting=False)
            wanted = likelihood.identity(run, self._opened[key], trainer)
        except (OSError, ValueError):
            return False  # a text that cannot be had is named by the evaluation itself
        return any(agrees(record, wanted) for record in records)

    def _has_samples(self, settings: Settings, row: Row, records: list[Record]) -> bool:
        run = trained_run.open_run(settings, row.overrides)
        tokenizer = trained_run.open_tokenizer(run)
        point = make_point(settings, run, tokenizer, settings.sampling)
        wanted = identity(run, settings, point, tokenizer, self._scoring(settings, tokenizer))
        weights = trained_run.averaged(run)
        return any(
            record.training["averaged_weights"] == weights and agrees(record, wanted)
            for record in records
        )

    def _scoring(self, settings: Settings, tokenizer: Tokenizer) -> dict[str, Any]:
        """The scoring of samples; a scorer is loaded once for rows of the same tokenizer."""
        key = str(settings.eval.gen_ppl_eval_model_name_or_path), tokenizer.digest
        if key not in self._scorings:
            self._scorings[key] = scored_by(open_scorer(settings, tokenizer), settings)
        return self._scorings[key]


def evaluation(row: Row, mode: Mode) -> Settings:
    """The settings of an evaluation of the row's run."""
    of_run = replace(row.settings.eval, checkpoint_path=row.folder)
    return replace(row.settings, mode=mode, eval=of_run)


def evaluated_by(row: Row) -> list[str]:
    """The overrides of the likelihood: eval.corpora leaves out those of the training text."""
    if row.settings.eval.corpora is None:
        return row.overrides
    return [text for text in row.overrides if key_of(text) not in zero_shot.ONE_TEXT]


def untrained(row: Row) -> TrainedRun:
    """The run of the row as far as its settings say."""
    config = {"config": stored(row.settings)}
    return TrainedRun(config, Path(row.folder), "", row.settings, vocab_size=0)


def distinct_points(row: Row) -> list[Sampling]:
    """The first of the points with each sampler: AR draws the same texts whatever the steps.
    ValueError for one that makes no sense."""
    run, tokenizer = untrained(row), make_tokenizer(tokenizer_name(row.settings.data))
    distinct: dict[str, Sampling] = {}
    for point in points(row.settings.sampling):
        sampler = make_point(row.settings, run, tokenizer, point).sampler.protocol()
        key = json.dumps(sampler, sort_keys=True, default=str)
        distinct.setdefault(key, replace(point, sweep=None))
    return list(distinct.values())


def agrees(record: Record, wanted: dict[str, Any]) -> bool:
    """Whether a record has all fields of `wanted`; of its data, at least the keys of that."""
    fields = record.fields
    fields["data"] = {key: record.data.get(key) for key in wanted["data"]}
    return all(fields[name] == plain(value, name) for name, value in wanted.items())
