"""A scheduler signals every process of a training, whose loader has threads."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.processes import started, wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("how", [signal.SIGTERM])
def test_loader_threads_end_after_a_signal_to_the_group(
    how: signal.Signals, arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    line = [sys.executable, str(ROOT / "main.py"), *arguments, "loader.num_workers=2"]
    line += ["trainer.max_steps=1000000", "checkpointing.every_n_steps=1000000"]
    written = tmp_path / "said"
    group = {"cwd": tmp_path, "env": environment, "start_new_session": True}
    with written.open("w") as said, started(line, stderr=said, **group) as process:
        wait_until(lambda: list((tmp_path / "run" / "logs").rglob("metrics.csv")), process)
        os.killpg(process.pid, how)
        assert process.wait(timeout=60) == 128 + how
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert "Traceback" not in written.read_text()
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)
