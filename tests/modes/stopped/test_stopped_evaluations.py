"""Evaluations that are stopped, killed, started twice, or that cannot write: nothing is done twice,
nothing is lost, and every refusal comes before the work."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from evaluation import batch_cache
from evaluation.batch_cache import RECORD, BatchCache
from evaluation.passes import PassEvaluator
from modes.audit import run as audit
from modes.oracle import measure
from modes.ppl_eval import likelihood, zero_shot
from modes.sample_eval import generate
from modes.sample_eval import run as sample_eval
from storage import Held, holding
from tests.modes.stopped.conftest import OF_RUN, Run, records, samples, start
from training.signals import Stopped

SAMPLES = ("sampling.steps=3", "sampling.num_sample_batches=3", "sampling.show=0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stopped_likelihood_goes_on_bit_for_bit(
    number: int,
    evaluate: Run,
    calls: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    """Three batches of three passes; the signal comes in the second batch of the second pass."""
    evaluate("ppl_eval", "eval.passes=3", results="whole")
    calls(PassEvaluator, "validation_step", at=5, number=number)
    with pytest.raises(Stopped) as error:
        evaluate("ppl_eval", "eval.passes=3")
    assert error.value.code == 128 + number
    name = signal.Signals(number).name
    kept = "1 of 3 passes and the batches after them are kept; the same command goes on"
    assert capsys.readouterr().err.splitlines()[-1] == f"stopped by {name}: {kept}"
    assert not records(tmp_path / "results")
    monkeypatch.undo()
    read = calls(PassEvaluator, "evaluate_pass")
    nll = calls(OF_RUN, "nll")
    evaluate("ppl_eval", "eval.passes=3")
    assert (read.calls, nll.calls) == (3, 9 - 4)
    (whole,), (resumed,) = records(tmp_path / "whole"), records(tmp_path / "results")
    for key in ("value", "stderr", "count", "data", "protocol"):
        assert resumed[key] == whole[key]
    assert resumed["metrics"]["sequences_file"] == whole["metrics"]["sequences_file"]
    assert [file.suffix for file in (tmp_path / "results").iterdir() if file.is_file()] == [".json"]
    assert not list((tmp_path / "results").glob("unfinished-*"))


OTHERS = {"eval.passes=2": 2 * 3, "loader.eval_batch_size=12": 3 * 2, "eval.times=[0.1,1]": 3 * 3}


def test_other_evaluations_are_not_answered_by_what_is_kept(evaluate: Run, calls: Any) -> None:
    calls(PassEvaluator, "validation_step", at=5)
    with pytest.raises(Stopped):
        evaluate("ppl_eval", "eval.passes=3")
    nll = calls(OF_RUN, "nll")
    for more, batches in OTHERS.items():
        nll.calls = 0
        evaluate("ppl_eval", "eval.passes=3", more)
        assert nll.calls == batches, more


@pytest.mark.parametrize("damage", [b"", b"a", None])
def test_kept_batches_that_are_damaged_are_made_again(
    damage: bytes | None,
    evaluate: Run,
    calls: Any,
    monkeypatch: pytest.MonkeyPatch,
    copy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    """Empty, foreign, or with one flipped bit."""
    evaluate("sample_eval", *SAMPLES, results="whole")
    calls(generate, "keep_batch", at=3)
    with pytest.raises(Stopped):
        evaluate("sample_eval", *SAMPLES)
    (file,) = (copy / "samples").glob("unfinished-*/1.json")
    content = file.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    file.write_bytes(flipped if damage is None else damage)
    monkeypatch.undo()
    capsys.readouterr()
    drawn = calls(generate, "keep_batch")
    evaluate("sample_eval", *SAMPLES)
    printed = capsys.readouterr()
    assert f"{file}: damaged, made again" in printed.err
    assert "1 of 3 batches were drawn before" in printed.out
    assert drawn.calls == 2
    (whole,), (resumed,) = records(tmp_path / "whole"), records(tmp_path / "results")
    assert samples(whole) == samples(resumed)


EVALUATIONS = [("ppl_eval", ("eval.passes=2",)), ("sample_eval", SAMPLES)]


@pytest.mark.parametrize(("mode", "more"), EVALUATIONS)
@pytest.mark.parametrize("moment", ["before the record", "after it"])
def test_a_command_that_is_killed_at_its_record_writes_one(
    mode: str,
    more: tuple[str, ...],
    moment: str,
    evaluate: Run,
    monkeypatch: pytest.MonkeyPatch,
    copy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    owner, name = (batch_cache, "write_record") if "before" in moment else (BatchCache, "clear")
    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(mode, *more)
    monkeypatch.undo()
    monkeypatch.setattr(likelihood.Evaluator, "_evaluate", killed)
    monkeypatch.setattr(sample_eval, "evaluate", killed)
    evaluate(mode, *more)
    (record,) = records(tmp_path / "results")
    assert record["metric"] == ("ppl" if mode == "ppl_eval" else "samples")
    assert not [*tmp_path.glob("**/unfinished-*"), *tmp_path.glob("**/.unfinished-*")]
    monkeypatch.undo()
    evaluate(mode, *more)  # another command: another record
    assert len(records(tmp_path / "results")) == 2


def test_the_next_command_clears_what_a_killed_one_left(
    evaluate: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BatchCache, "clear", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate("ppl_eval", "eval.passes=2")
    monkeypatch.undo()
    (left,) = (tmp_path / "results").glob("unfinished-*")
    assert [file.name for file in left.iterdir()] == [RECORD]
    evaluate("ppl_eval", "eval.passes=3")
    assert not left.exists()


def test_a_killed_sweep_draws_no_point_twice(
    evaluate: Run, calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copy: Path
) -> None:
    sweep = ("sampling.sweep={temperature:[0.5,1.0]}", *SAMPLES)
    calls(generate, "keep_batch", at=5)
    with pytest.raises(Stopped):
        evaluate("sample_eval", *sweep)
    (first,) = records(tmp_path / "results")
    monkeypatch.undo()
    evaluate("sample_eval", *SAMPLES, "sampling.temperature=0.5")  # a command of its own
    drawn = calls(generate, "keep_batch")
    evaluate("sample_eval", *sweep)
    assert drawn.calls == 2
    found = records(tmp_path / "results")
    temperatures = sorted(one["protocol"]["temperature"] for one in found)
    assert temperatures == [0.5, 0.5, 1.0]
    assert first in found
    assert not list((copy / "samples").glob("unfinished-*"))


def test_stopped_corpora_are_evaluated_once(
    evaluate: Run,
    calls: Any,
    monkeypatch: pytest.MonkeyPatch,
    text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    listed = (f"eval.corpora=[one:{text},two:{text}]", "eval.passes=2", "data.max_eval_blocks=9")
    calls(zero_shot, "show", at=2)
    with pytest.raises(Stopped):
        evaluate("ppl_eval", *listed)
    assert [one["data"]["name"] for one in records(tmp_path / "results")] == ["one"]
    monkeypatch.undo()
    nll = calls(OF_RUN, "nll")
    capsys.readouterr()
    evaluate("ppl_eval", *listed)
    assert nll.calls == 0, "the second was kept, the first recorded"
    assert [one["data"]["name"] for one in records(tmp_path / "results")] == ["one", "two"]
    table = capsys.readouterr().out
    assert table.index("\none ") < table.index("\ntwo ")
    assert not list((tmp_path / "results").glob("unfinished-*"))


@pytest.mark.parametrize(("mode", "more"), EVALUATIONS)
def test_the_second_of_two_at_once_is_refused_by_name(
    mode: str, more: tuple[str, ...], evaluate: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = BatchCache.held

    def busy(self: BatchCache) -> Any:
        lock = self.folder.with_name(f".{self.folder.name}.lock")
        with holding(lock, "a first one"), pytest.raises(Held, match=f"process {os.getpid()} on"):
            held(self).__enter__()
        raise FloatingPointError("as it should be")

    monkeypatch.setattr(BatchCache, "held", busy)
    with pytest.raises(FloatingPointError):
        evaluate(mode, *more)
    assert not records(tmp_path / "results")


MARKOV = ["data=markov", "data.states=4", "data.train_tokens=4000", "data.valid_tokens=1000"]
MARKOV += ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.length=9"]


def test_a_stopped_oracle_records_no_row_twice(
    calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ["mode=oracle", *MARKOV, "oracle.steps=[2,4,8]", "oracle.samples=60"]
    given += ["oracle.samplers=[ancestral]", f"results_dir={tmp_path}/results"]
    calls(measure, "texts_of", at=3)
    with pytest.raises(Stopped):
        start(*given)
    printed = capsys.readouterr()
    assert "lost beyond true texts" in printed.out
    assert "2 of 3 rows are recorded; the same command goes on" in printed.err
    assert len(records(tmp_path / "results")) == 2
    monkeypatch.undo()
    drawn = calls(measure, "texts_of")
    start(*given)
    assert drawn.calls == 1
    steps = [one["protocol"]["steps"] for one in records(tmp_path / "results")]
    assert sorted(steps) == [2, 4, 8]
    assert not list((tmp_path / "results").glob("*unfinished-*"))


def test_a_stopped_audit_records_no_generator_twice(
    evaluate: Run, calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls(audit, "quality", at=4)
    more = ("loader.eval_batch_size=16", "data.max_eval_blocks=null")
    with pytest.raises(Stopped):
        evaluate("audit", *more)
    assert len(records(tmp_path / "results")) == 3
    monkeypatch.undo()
    measured = calls(audit, "quality")
    evaluate("audit", *more)
    found = [one["algo"] for one in records(tmp_path / "results")]
    assert len(found) == len(set(found)) == 3 + measured.calls
