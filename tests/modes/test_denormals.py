"""Numbers below the smallest normal one are zeros wherever a mode computes."""

import subprocess
import sys

from tests.modes.conftest import ROOT

LOOKS = """
import torch
from modes import build
small = torch.full((1 << 22,), 1e-30)  # enough of them for every thread of the pool
print(torch.get_num_threads(), int((small * 1e-9 != 0).sum()))
"""


def test_denormal_numbers_are_flushed_on_every_thread() -> None:
    line = [sys.executable, "-W", "ignore", "-c", LOOKS]
    environment = {"OMP_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.split() == ["2", "0"], done.stderr
