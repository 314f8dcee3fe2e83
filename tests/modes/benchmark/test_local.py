"""Rows as processes: what they say, how they fail, that none outlives the benchmark."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modes.benchmark import local
from modes.benchmark.local import run_all
from modes.benchmark.progress import Overview
from modes.benchmark.runs import Row
from modes.settings import Settings
from tests.modes.conftest import ROOT
from tests.processes import started, wait_until
from training.settings import Checkpointing
from training.signals import StopSignals

SAYS = """
import sys
print("perplexity 5")
for text in ("benchmark stage: train\\n", "\\ra:  10%|#   | 1/10", "\\ra:  90%|### | 9/10", "\\n",
             "benchmark stage: ppl_eval\\n", "a warning\\n"):
    sys.stderr.write(text)
    sys.stderr.flush()
"""
FAILS = SAYS + 'sys.exit("error: step 5: the gradient norm is nan")'
DIES = "import os, sys; print('benchmark stage: train', file=sys.stderr); os.abort()"


def row(number: int, folder: Path) -> Row:
    place = Checkpointing(save_dir=str(folder / str(number)))
    return Row(number, f"algo{number}, seed 1", [], Settings(checkpointing=place))


class Seen(Overview):
    def __init__(self, rows: int) -> None:
        super().__init__(rows, terminal=False)
        self.parts: list[float] = []

    def advance(self, part: float) -> None:
        self.parts.append(part)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's overrides are its program."""
    monkeypatch.setattr(local, "command", lambda given: [sys.executable, "-c", given[0]])


@pytest.mark.usefixtures("programs")
def test_run_all_names_a_row_that_fails_and_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen, failures = Seen(3), []
    for number, program in enumerate((FAILS, DIES, SAYS)):
        given = [(row(number, tmp_path), ["train", "ppl_eval"])]
        failures += run_all(given, [program], seen, StopSignals())
    assert failures == [
        f"failed: algo0, seed 1, ppl_eval: error: step 5: the gradient norm is nan "
        f"({tmp_path}/0/benchmark.log)",
        f"failed: algo1, seed 1, train: ended by SIGABRT ({tmp_path}/1/benchmark.log)",
    ]
    assert seen.finished == 3
    assert seen.parts == [0.1, 0.9] * 2
    log = (tmp_path / "2" / "benchmark.log").read_text()
    assert "perplexity 5" in log
    assert "a warning" in log
    assert "%" not in log
    err = capfd.readouterr().err
    assert "row 3 of 3, algo2, seed 1: ppl_eval" in err
    assert "%" not in err


@pytest.mark.usefixtures("programs")
def test_a_row_whose_log_has_no_room_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "benchmark.log").symlink_to("/dev/full")
    ends = (
        "import sys, time; print('a', file=sys.stderr); time.sleep(0.2); sys.exit('error: no room')"
    )
    failures = run_all([(row(0, tmp_path), ["train"])], [ends], Seen(1), StopSignals())
    assert failures == [
        f"failed: algo0, seed 1, start: error: no room ({tmp_path}/0/benchmark.log)"
    ]


WAITS = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, lambda *_: sys.exit("saved"))
Path("pid").write_text(str(os.getpid()))
from modes.benchmark.local import end_with_parent
end_with_parent()
Path("ready").touch()
time.sleep(60)
"""
STARTS = f"""
import sys
from pathlib import Path
from modes.benchmark import local
from modes.benchmark.progress import Overview
from modes.benchmark.runs import Row
from modes.settings import Settings
from training.settings import Checkpointing
from training.signals import StopSignals
local.command = lambda given: [sys.executable, "-c", {WAITS!r}]
place = Checkpointing(save_dir="run")
row = Row(0, "ar, seed 1", [], Settings(checkpointing=place))
with StopSignals() as signals:
    local.run_all([(row, ["train"])], [], Overview(1, terminal=False), signals)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_run_all_leaves_no_process_behind(how: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-c", STARTS]
    with started(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        wait_until((tmp_path / "ready").exists, process)
        child = int((tmp_path / "pid").read_text())
        process.send_signal(how)
        said = process.communicate(timeout=60)[1].decode()
    while Path(f"/proc/{child}").exists() and "Z" not in state_of(child):
        time.sleep(0.05)  # pytest-timeout ends it
    if how == signal.SIGTERM:  # it went in peace
        assert process.returncode == 128 + signal.SIGTERM
        assert "saved" in (tmp_path / "run" / "benchmark.log").read_text()
        assert "the same command goes on from there" in said


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
