"""Rows as jobs of a cluster: printed, submitted to a stub of Slurm, run by its script."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modes.benchmark import run as benchmark
from modes.benchmark.slurm import LATE, SCRIPT
from tests.composed import compose
from tests.modes.conftest import ROOT

GIVEN = ["mode=benchmark", "benchmark.algos=[ar,mdlm]", "benchmark.budget=2k steps"]
GIVEN += ["results_dir=here", "seed=5"]


def run(*more: str) -> None:
    overrides = [*GIVEN, *more]
    benchmark.run(compose(overrides), overrides, compose)


def stub(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/usr/bin/env bash\n{text}\n")
    file.chmod(0o755)


def test_jobs_printed_are_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    run("benchmark.jobs=print")
    lines = capsys.readouterr().out.splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    first = [sys.executable, str(ROOT / "main.py"), *GIVEN]
    assert commands[1] == [*first, "benchmark.row=0"]
    assert commands[2] == [*first, "benchmark.row=1"]
    assert lines[2].endswith("# mdlm, seed 5")
    places = [f"SUITE_PYTHON={sys.executable}", f"SUITE_WORK={Path.cwd()}"]
    start = ["env", *places, "sbatch", "--parsable"]
    assert commands[4] == [*start, "--array=0,1", str(SCRIPT), *GIVEN[1:]]
    late = ["--array=1", "--dependency=afterany:JOB"]  # mdlm, whose scorer is ar
    assert commands[6] == [*start, *late, str(SCRIPT), *GIVEN[1:]]
    assert commands[8] == [*first[:2], "mode=leaderboard", "results_dir=here"]


@pytest.mark.parametrize(
    "more",
    [
        ["benchmark.scorer=false"],
        ["benchmark.algos=[mdlm]"],
        ["eval.gen_ppl_eval_model_name_or_path=gpt2"],
    ],
)
def test_jobs_that_wait_for_no_other_are_one_array(
    capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    run("benchmark.jobs=print", *more)
    assert "--dependency" not in capsys.readouterr().out


def test_jobs_are_submitted_and_again_for_samples_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = f'printf "%s\\n" "$SUITE_WORK" "$@" >> {tmp_path}/said'
    stub(tmp_path, "sbatch", f"{said}; echo '41;cluster'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run("benchmark.jobs=slurm")
    start, rest = [str(Path.cwd()), "--parsable"], [str(SCRIPT), *GIVEN[1:]]
    late = ["--array=1", "--dependency=afterany:41"]
    lines = (tmp_path / "said").read_text().splitlines()
    assert lines == [*start, "--array=0,1", *rest, *start, *late, *rest]
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == ["job 41: 2 rows", "  0: ar, seed 5", "  1: mdlm, seed 5"]
    assert out[3] == f"job 41: {LATE}"


def test_jobs_without_slurm_or_refused_by_it_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"^benchmark.jobs=slurm: there is no sbatch on this mach"):
        run("benchmark.jobs=slurm")
    monkeypatch.undo()
    stub(tmp_path, "sbatch", 'printf "no such\\npartition\\n" >&2; exit 1')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ValueError, match=r"^benchmark.jobs=slurm: sbatch refused: no such partit"):
        run("benchmark.jobs=slurm")


def test_script_runs_the_row_of_its_task(tmp_path: Path) -> None:
    stub(tmp_path, "srun", f'printf "%s\\n" "$@" > {tmp_path}/ran')
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environment |= {"SUITE_PYTHON": sys.executable, "SUITE_WORK": str(tmp_path)}
    line = ["bash", str(SCRIPT), "benchmark.budget=2k steps"]
    task = environment | {"SLURM_ARRAY_TASK_ID": "3"}
    done = subprocess.run(line, env=task, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran = (tmp_path / "ran").read_text().splitlines()
    ran = ran[ran.index(sys.executable) :]
    assert ran[:2] == [sys.executable, str(ROOT / "main.py")]
    assert ran[-3:] == ["mode=benchmark", "benchmark.budget=2k steps", "benchmark.row=3"]
    alone = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert alone.returncode != 0
    assert "this is a task of an array: sbatch --array=0-N" in alone.stderr


def test_jobs_of_a_track_end_in_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    overrides = ["mode=benchmark", "track=shakespeare-epochs", "benchmark.jobs=print"]
    benchmark.run(compose(overrides), overrides, compose)
    *_, last = capsys.readouterr().out.splitlines()
    place = "results_dir=results/shakespeare-epochs"
    assert shlex.split(last)[2:] == ["mode=leaderboard", place, "track=shakespeare-epochs"]
