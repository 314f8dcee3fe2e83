"""The rows of a benchmark as jobs of their own: printed, or submitted to Slurm as one array."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from modes.benchmark.runs import Row
from modes.checks.keys import key_of

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "benchmark.sh"
OF_JOBS = ("benchmark.jobs", "benchmark.row")
LATE = "after it, once more, for samples that had to wait for their scorer"


def command(overrides: Sequence[str]) -> list[str]:
    """The same benchmark, to which benchmark.row= may be added."""
    kept = [text for text in overrides if key_of(text) not in OF_JOBS]
    return [sys.executable, str(ROOT / "main.py"), *kept]


def hand_over(how: str, rows: Sequence[Row], overrides: Sequence[str]) -> None:
    """Prints the rows' commands, or submits them; ValueError where they are not taken."""
    JOBS[how](rows, overrides)
    settings = rows[0].settings
    last = [sys.executable, str(ROOT / "main.py"), "mode=leaderboard"]
    last += [f"results_dir={settings.results_dir}"]
    last += [] if settings.track.name is None else [f"track={settings.track.name}"]
    print(f"# the tables of what is there, at any time:\n{shlex.join(last)}")


def show(rows: Sequence[Row], overrides: Sequence[str]) -> None:
    print("# one command for each row; each goes on where it was:")
    for row in rows:
        line = shlex.join([*command(overrides), f"benchmark.row={row.number}"])
        print(f"{line}  # {row.name}")
    settings = ["env", *(f"{key}={value}" for key, value in environment().items())]
    print(f"# or as one array of jobs:\n{shlex.join([*settings, *array(rows, overrides)])}")
    late = [row for row in rows if row.waits]
    if late:
        again = shlex.join([*settings, *array(late, overrides, after="JOB")])
        print(f"# {LATE}, JOB is the number of that array:\n{again}")


def submit(rows: Sequence[Row], overrides: Sequence[str]) -> None:
    job = _submitted(array(rows, overrides))
    print(f"job {job}: {len(rows)} rows")
    for row in rows:
        print(f"  {row.number}: {row.name}")
    late = [row for row in rows if row.waits]
    if late:
        print(f"job {_submitted(array(late, overrides, after=job))}: {LATE}")


def _submitted(line: list[str]) -> str:
    """The number of the job."""
    if shutil.which(line[0]) is None:
        raise ValueError(
            "benchmark.jobs=slurm: there is no sbatch on this machine; benchmark.jobs=print "
            "prints the commands"
        )
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | environment())
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        raise ValueError(f"benchmark.jobs=slurm: sbatch refused: {reason}")
    return done.stdout.strip().partition(";")[0]  # a name of the cluster may follow


def array(rows: Sequence[Row], overrides: Sequence[str], after: str | None = None) -> list[str]:
    """sbatch for the rows, once the job `after` has ended. Account, partition and time come from
    sbatch's own environment (SBATCH_ACCOUNT, ...)."""
    arguments = [text for text in overrides if key_of(text) not in (*OF_JOBS, "mode")]
    numbers = ",".join(str(row.number) for row in rows)
    when = [] if after is None else [f"--dependency=afterany:{after}"]
    return ["sbatch", "--parsable", f"--array={numbers}", *when, str(SCRIPT), *arguments]


def environment() -> dict[str, str]:
    """The variables of scripts/slurm.sh: this interpreter, and the folder of relative paths."""
    return {"SUITE_PYTHON": sys.executable, "SUITE_WORK": str(Path.cwd())}


JOBS: dict[str, Callable[[Sequence[Row], Sequence[str]], None]] = {"print": show, "slurm": submit}
