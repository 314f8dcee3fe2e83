"""Where evaluations write: looked at before the work, beside the run or where a key says; numbers
that are none."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from evaluation import batch_cache
from modes.checks.folders import check_writable
from tests.modes.stopped.conftest import OF_RUN, Run, records, start

PPL = ("ppl_eval", "eval.passes=2")
SAMPLES = ("sample_eval", "sampling.steps=3", "sampling.show=0")


@pytest.mark.parametrize("mode", ["ppl_eval", "sample_eval", "audit"])
def test_a_place_for_records_that_is_none_is_refused_first(
    mode: str, evaluate: Run, calls: Any, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file")
    nll = calls(OF_RUN, "nll")
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


@pytest.mark.parametrize("folder", ["{long}", "a/{long}/b"])
def test_a_look_at_a_folder_refuses_a_name_that_is_too_long(folder: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be written \(File name too long\)"):
        check_writable(tmp_path / folder.format(long="n" * 300), "results_dir")
    assert not list(tmp_path.iterdir())


def test_numbers_are_on_the_screen_before_a_record_fails(
    evaluate: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError("results_dir=results: cannot write x.json: No space left on device")

    monkeypatch.setattr(batch_cache, "write_record", full)
    for mode, *more in (PPL, SAMPLES):
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
    assert "curve" not in read["metrics"]


NUMBERS = ("temperature", "guidance", "min_p", "self_correction_time")
SHARES = ("eta", "high_frac", "middle_frac", "plateau")


@pytest.mark.parametrize("key", [*SHARES, *NUMBERS])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_numbers_that_are_none_are_refused_before_a_draw(
    key: str, value: str, evaluate: Run, copy: Path
) -> None:
    with pytest.raises(ValueError, match=rf"sampling\.{key}={value}"):
        evaluate("sample_eval", "sampling.predictor=psi", f"sampling.{key}={value}")
    assert not (copy / "samples").exists()
