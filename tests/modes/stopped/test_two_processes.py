"""A signal to one of two processes ends both, after the same batch."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.modes.conftest import ROOT

STARTS = {
    "ppl_eval": ["eval.passes=100000", "loader.eval_batch_size=2"],
    "sample_eval": ["sampling.num_sample_batches=2000", "loader.eval_batch_size=1"],
}
WORKED = re.compile(r"\[00:[0-5][1-9]<")  # for a second
KEPT = {"ppl_eval": "results/unfinished-*/pass-*", "sample_eval": "run/samples/unfinished-*/*"}


@pytest.mark.parametrize("mode", STARTS)
def test_both_processes_stop(mode: str, copy: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "main.py"), f"mode={mode}", f"eval.checkpoint_path={copy}"]
    line += [f"results_dir={tmp_path}/results", "trainer.accelerator=cpu", *STARTS[mode]]
    line += ["trainer.devices=2", "strategy=ddp", "eval.reference=false", "sampling.steps=4"]
    log = tmp_path / "log"
    quick = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}
    with log.open("w") as stream:
        process = subprocess.Popen(line, cwd=tmp_path, env=quick, stderr=stream)
        deadline = time.monotonic() + 120
        try:
            while not WORKED.search(log.read_text()) and process.poll() is None:
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 128 + signal.SIGTERM, log.read_text()
        finally:
            process.kill()
    last = log.read_text().splitlines()[-1]
    assert last.startswith("stopped by SIGTERM: ")
    assert last.endswith(" kept; the same command goes on")
    kept = {file.name for file in tmp_path.glob(KEPT[mode])}
    if mode == "ppl_eval":
        assert {name.rpartition("-")[2] for name in kept} == {"0.npz", "1.npz"}
    else:
        assert {int(Path(name).stem) % 2 for name in kept} == {0, 1}
    while str(copy).encode() in b"".join(command_lines()):
        assert time.monotonic() < deadline, "a process is left"
        time.sleep(0.1)


def command_lines() -> list[bytes]:
    """Of all processes but this one."""
    own = str(os.getpid())
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(b"" if file.parent.name == own else file.read_bytes())
        except OSError:  # it ended meanwhile
            continue
    return found
