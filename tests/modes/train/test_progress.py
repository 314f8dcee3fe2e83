"""The progress bar of a training whose output goes to a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.modes.conftest import ROOT


@pytest.mark.parametrize(("seconds", "few"), [(None, True), ("0", False)])
def test_a_log_has_few_states_of_the_bar(
    seconds: str | None,
    few: bool,
    arguments: list[str],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    environment.pop("TQDM_MININTERVAL", None)  # of an earlier command in this process
    if seconds is not None:
        environment["TQDM_MININTERVAL"] = seconds
    line = [sys.executable, str(ROOT / "main.py"), *arguments, "trainer.max_steps=40"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "40/40" in done.stderr
    assert (done.stderr.count("%|") < 10) == few, done.stderr
