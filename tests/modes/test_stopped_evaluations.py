"""Evaluations that are stopped, killed, started twice, or that cannot write: nothing is done twice,
nothing is lost, and every refusal comes before the work."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from modes import audit, batch_cache, oracle, ppl_eval, sample_eval, train
from modes.batch_cache import RECORD, BatchCache
from modes.checks.drawing import SHARES
from modes.checks.folders import check_writable
from modes.reading import likelihood, zero_shot
from modes.reading.passes import PassReader
from modes.sampling import drawing, point
from storage import Held, holding
from tests.modes.conftest import ROOT, TINY
from training.signals import Stopped

MODES = {
    "train": train,
    "ppl_eval": ppl_eval,
    "sample_eval": sample_eval,
    "oracle": oracle,
    "audit": audit,
}
SAMPLES = ("sampling.steps=3", "sampling.num_sample_batches=3", "sampling.show=0")
Run = Callable[..., None]


def start(*overrides: str) -> None:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        settings = main.compose(list(overrides))
        main.check(settings, main.keys_of(list(overrides)))
        MODES[settings["mode"]].run(settings, list(overrides), main.compose)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    places = [f"data.path={text}", "data.valid_split=tail", f"data.cache_dir={folder}/cache"]
    start(*TINY, *places, f"checkpointing.save_dir={folder}/run", "trainer.max_steps=4")
    return folder / "run"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own, since samples lie beside it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def evaluate(copy: Path, tmp_path: Path) -> Run:
    def run(mode: str, *more: str, results: str = "results") -> None:
        given = [
            f"mode={mode}",
            f"eval.checkpoint_path={copy}",
            f"results_dir={tmp_path}/{results}",
        ]
        start(*given, "trainer.accelerator=cpu", "loader.eval_batch_size=8", *more)

    return run


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


class Signalled:
    """Sends a signal to the process at call number `at` of a method or function."""

    def __init__(self, work: Callable[..., Any], at: int, number: int = signal.SIGTERM):
        self.work, self.at, self.number, self.calls = work, at, number, 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), self.number)
        return self.work(*arguments, **keywords)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Signalled]]:
    """Puts a counter that may send a signal before a function of a module or class."""

    def put(owner: Any, name: str, at: int = 0, number: int = signal.SIGTERM) -> Signalled:
        counted = Signalled(getattr(owner, name), at, number)
        monkeypatch.setattr(owner, name, lambda *a, **k: counted(*a, **k))
        return counted

    yield put


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
    calls(PassReader, "validation_step", at=5, number=number)
    with pytest.raises(Stopped) as error:
        evaluate("ppl_eval", "eval.passes=3")
    assert error.value.code == 128 + number
    name = signal.Signals(number).name
    kept = "1 of 3 passes and the batches after them are kept; the same command goes on"
    assert capsys.readouterr().err.splitlines()[-1] == f"stopped by {name}: {kept}"
    assert not records(tmp_path / "results")
    monkeypatch.undo()
    read = calls(likelihood.PassReader, "read")
    nll = calls(type_of_run(), "nll")
    evaluate("ppl_eval", "eval.passes=3")
    assert (read.calls, nll.calls) == (3, 9 - 4)
    (whole,), (resumed,) = records(tmp_path / "whole"), records(tmp_path / "results")
    for key in ("value", "stderr", "count", "data", "protocol"):
        assert resumed[key] == whole[key]
    assert resumed["also"]["sequences_file"] == whole["also"]["sequences_file"]
    assert [file.suffix for file in (tmp_path / "results").iterdir() if file.is_file()] == [".json"]
    assert not list((tmp_path / "results").glob("unfinished-*"))


def type_of_run() -> type:
    from algos import ALGORITHMS

    return ALGORITHMS["mdlm"]


def test_other_evaluations_are_not_answered_by_what_is_kept(evaluate: Run, calls: Any) -> None:
    calls(PassReader, "validation_step", at=5)
    with pytest.raises(Stopped):
        evaluate("ppl_eval", "eval.passes=3")
    nll = calls(type_of_run(), "nll")
    for more in ("eval.passes=2", "loader.eval_batch_size=12", "eval.times=[0.1,1]"):
        nll.calls = 0
        evaluate("ppl_eval", "eval.passes=3", more)
        assert nll.calls == (4 if "12" in more else 6 if "passes" in more else 9)


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
    calls(drawing, "keep", at=3)
    with pytest.raises(Stopped):
        evaluate("sample_eval", *SAMPLES)
    (file,) = (copy / "samples").glob("unfinished-*/1.json")
    content = file.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    file.write_bytes(flipped if damage is None else damage)
    monkeypatch.undo()
    capsys.readouterr()
    drawn = calls(drawing, "keep")
    evaluate("sample_eval", *SAMPLES)
    printed = capsys.readouterr()
    assert f"{file}: damaged, made again" in printed.err
    assert "1 of 3 batches were drawn before" in printed.out
    assert drawn.calls == 2
    (whole,), (resumed,) = records(tmp_path / "whole"), records(tmp_path / "results")
    assert samples(whole) == samples(resumed)


def samples(record: dict[str, Any]) -> Any:
    return json.loads(Path(record["also"]["samples"]).read_text())["samples"]


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
    for forbidden in (likelihood, point):
        monkeypatch.setattr(forbidden, "evaluate", killed, raising=False)
    monkeypatch.setattr(sample_eval, "evaluate", killed)
    evaluate(mode, *more)
    (record,) = records(tmp_path / "results")
    assert record["metric"] == ("ppl" if mode == "ppl_eval" else "entropy")
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
    calls(drawing, "keep", at=5)
    with pytest.raises(Stopped):
        evaluate("sample_eval", *sweep)
    (first,) = records(tmp_path / "results")
    monkeypatch.undo()
    evaluate("sample_eval", *SAMPLES, "sampling.temperature=0.5")  # a command of its own
    drawn = calls(drawing, "keep")
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
    nll = calls(type_of_run(), "nll")
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


@pytest.mark.parametrize("mode", ["ppl_eval", "sample_eval", "audit"])
def test_a_place_for_records_that_is_none_is_refused_first(
    mode: str, evaluate: Run, calls: Any, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file")
    nll = calls(type_of_run(), "nll")
    for results in ("results", "results/below"):
        with pytest.raises(OSError, match=r"results_dir=.*: cannot be written \(.*choose another"):
            evaluate(mode, results=results)
    assert nll.calls == 0
    assert (tmp_path / "results").read_text() == "a file"


def test_a_look_at_a_folder_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", "results_dir")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    check_writable(tmp_path / "a" / "b", "results_dir")
    assert not list((tmp_path / "a").iterdir())


def test_numbers_are_on_the_screen_before_a_record_fails(
    evaluate: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError("results_dir=results: cannot write x.json: No space left on device")

    monkeypatch.setattr(batch_cache, "write_record", full)
    for mode, more in EVALUATIONS:
        with pytest.raises(OSError, match="results_dir=results"):
            evaluate(mode, *more)
    shown = capsys.readouterr().out
    assert "perplexity <= " in shown and "entropy " in shown and "distinct-1 " in shown


def test_samples_of_a_lone_checkpoint_lie_beside_it(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Not in the folder above, whose curve is not its own either."""
    lone = tmp_path / "x" / "ckpts" / "mdlm.ckpt"
    lone.parent.mkdir(parents=True)
    shutil.copy(copy / "checkpoints" / "last.ckpt", lone)
    shutil.copy(copy / "curve.csv", tmp_path / "x" / "curve.csv")
    common = [f"eval.checkpoint_path={lone}", f"results_dir={tmp_path}/results"]
    common += ["trainer.accelerator=cpu", "loader.eval_batch_size=4", "sampling.steps=2"]
    start("mode=sample_eval", *common)
    start("mode=sample_eval", *common, f"eval.output_dir={tmp_path}/elsewhere")
    start("mode=ppl_eval", *common, "eval.passes=2")
    assert len(list((lone.parent / "mdlm-output" / "samples").glob("*.json"))) == 1
    assert len(list((tmp_path / "elsewhere" / "samples").glob("*.json"))) == 1
    assert sorted(file.name for file in (tmp_path / "x").iterdir()) == ["ckpts", "curve.csv"]
    (read,) = [one for one in records(tmp_path / "results") if one["metric"] == "ppl"]
    assert "curve" not in read["also"]


OTHERS = ("temperature", "top_k", "guidance", "min_p", "self_correction_time")


@pytest.mark.parametrize("key", [*SHARES, *OTHERS])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_that_are_none_are_refused_before_a_draw(
    key: str, value: str, evaluate: Run, copy: Path
) -> None:
    with pytest.raises(ValueError, match=rf"sampling\.{key}={value}"):
        evaluate("sample_eval", "sampling.predictor=psi", f"sampling.{key}={value}")
    assert not (copy / "samples").exists()


MARKOV = ["data=markov", "data.states=4", "data.train_tokens=4000", "data.valid_tokens=1000"]
MARKOV += ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.length=9"]


def test_a_stopped_oracle_records_no_row_twice(
    calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ["mode=oracle", *MARKOV, "oracle.steps=[2,4,8]", "oracle.samples=60"]
    given += ["oracle.samplers=[ancestral]", f"results_dir={tmp_path}/results"]
    calls(oracle, "texts_of", at=3)
    with pytest.raises(Stopped):
        start(*given)
    printed = capsys.readouterr()
    assert "lost beyond true texts" in printed.out
    assert "2 of 3 rows are recorded; the same command goes on" in printed.err
    assert len(records(tmp_path / "results")) == 2
    monkeypatch.undo()
    drawn = calls(oracle, "texts_of")
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
