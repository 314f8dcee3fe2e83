"""A signal to one of two processes ends both, after the same batch."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.modes.conftest import ROOT
from tests.processes import started, wait_until

STARTS = {
    "ppl_eval": ["eval.passes=100000", "loader.eval_batch_size=2"],
    "sample_eval": ["sampling.num_sample_batches=2000", "loader.eval_batch_size=1"],
}
WORKED = re.compile(r" [1-9]\d*/\d")  # at least one batch
KEPT = {"ppl_eval": "results/unfinished-*/pass-*", "sample_eval": "run/samples/unfinished-*/*"}


@pytest.mark.parametrize("mode", ["ppl_eval", pytest.param("sample_eval", marks=pytest.mark.slow)])
def test_both_processes_stop(mode: str, copy: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "main.py"), f"mode={mode}", f"eval.checkpoint_path={copy}"]
    line += [f"results_dir={tmp_path}/results", "trainer.accelerator=cpu", *STARTS[mode]]
    line += ["trainer.devices=2", "strategy=ddp", "eval.reference=false", "sampling.steps=4"]
    log = tmp_path / "log"
    quick = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "0"}
    with log.open("w") as stream, started(line, cwd=tmp_path, env=quick, stderr=stream) as process:
        wait_until(lambda: WORKED.search(log.read_text()), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=150) == 128 + signal.SIGTERM, log.read_text()
    last = log.read_text().splitlines()[-1]
    assert last.startswith("stopped by SIGTERM: ")
    assert last.endswith(" kept; the same command goes on")
    kept = {file.name for file in tmp_path.glob(KEPT[mode])}
    if mode == "ppl_eval":
        assert {name.rpartition("-")[2] for name in kept} == {"0.npz", "1.npz"}
    else:
        assert {int(Path(name).stem) % 2 for name in kept} == {0, 1}
    while named_by_others(str(copy)):
        time.sleep(0.1)  # pytest-timeout ends it


def named_by_others(argument: str) -> bool:
    """Whether another process has it on its command line."""
    own = str(os.getpid())
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.parent.name != own and argument.encode() in file.read_bytes():
                return True
        except OSError:  # it ended meanwhile
            continue
    return False
