"""A scheduler signals every process of a training, whose loader has threads."""

import os
import signal
from pathlib import Path

import pytest

from tests.modes import forked
from tests.processes import wait_until


def test_loader_threads_end_after_a_signal_to_the_group(
    arguments: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    line = [*arguments, "loader.num_workers=2"]
    line += ["trainer.max_steps=1000000", "checkpointing.every_n_steps=1000000"]
    with forked.started(line, tmp_path, environment, session=True) as program:
        wait_until(lambda: list((tmp_path / "run" / "logs").rglob("metrics.csv")), program)
        os.killpg(program.pid, signal.SIGTERM)
        assert program.wait(timeout=60) == 128 + signal.SIGTERM
        assert "Traceback" not in program.said()[1]
        with pytest.raises(ProcessLookupError):  # nobody of the group is left
            os.killpg(program.pid, 0)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
