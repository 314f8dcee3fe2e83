"""What inductor writes for a GPU moves the bytes that docs/gpu.md has; where Triton is not
installed (it comes with a CUDA torch), nothing."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of tables that have numbers."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return [cells for cells in lines if cells[-1].replace(".", "").isdigit()]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_compiled_code_moves_the_documented_bytes() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "benchmarks/compiled_bytes.py"]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, stated = rows(done.stdout), rows((ROOT / "docs" / "gpu.md").read_text())
    assert len(found) == 10
    for name, *numbers in found:
        expected = pytest.approx([float(number) for number in numbers], abs=0.5)
        documented = [more[: len(numbers)] for first, *more in stated if first == name]
        assert any([float(one) for one in row] == expected for row in documented if len(row) == 3)
