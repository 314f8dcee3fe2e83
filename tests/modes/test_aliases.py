"""An algorithm of two names is one thing: what one name made, the other goes on with."""

import json
import sys
from pathlib import Path

import pytest

import main
from algos.facts import ALIASES, canonical, same_algorithm


def test_names() -> None:
    for one, other in ALIASES.items():
        assert same_algorithm(one, other)
        assert canonical(one) == canonical(other) == other
    assert not same_algorithm("duo", "udlm")


def test_a_run_is_resumed_evaluated_and_begun_with_under_both_names(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(main.QUIET, "1")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["main.py", *arguments, *more])
        main.command_line()
        return capsys.readouterr().out

    assert "2 steps" in run("algo=duo_base", "trainer.max_steps=2")
    assert "3 steps" in run("algo=udlm", "trainer.max_steps=3")
    own = ["mode=ppl_eval", f"eval.checkpoint_path={tmp_path}/run", "eval.passes=2"]
    for name in ("duo_base", "udlm"):
        run(*own, f"algo={name}")
        (record,) = (tmp_path / "results").glob("*.json")
        assert json.loads(record.read_text())["algo"] == "udlm"
        record.unlink()
    begun = [f"checkpointing.save_dir={tmp_path}/next", "trainer.max_steps=2"]
    assert "took 20 of 20" in run(f"training.finetune_path={tmp_path}/run", *begun, "algo=duo_base")
    with pytest.raises(SystemExit):
        run(*own, "algo=distillation")
    (said,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert said == f"error: algo=distillation: the run at {tmp_path}/run has algo=udlm"
