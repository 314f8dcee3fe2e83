"""Files appear whole, through one room; numbers are rounded to their errors, by one function."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("evaluation", "leaderboard", "integral")
MODES = ("leaderboard.py", "sample_eval/sweep_plot.py", "sample_eval/animation.py")
WRITES = {"write_text", "write_bytes", "getpid", "mkstemp", "NamedTemporaryFile"}
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
FILES += [ROOT / "modes" / name for name in MODES]
SAYING = ("evaluation", "leaderboard", "modes")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_written_but_by_storage(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        assert name not in WRITES, f"{file}:{node.lineno}"
        modes = [one.value for one in node.args if isinstance(one, ast.Constant)]
        writes = any(isinstance(one, str) and one in ("w", "wb", "x", "xb", "a") for one in modes)
        nowhere = node.args and ast.unparse(node.args[0]) == "os.devnull"
        assert not (name == "open" and writes) or nowhere, f"{file}:{node.lineno}"


def test_errors_are_written_by_one_function():
    """`±` and a number behind it in one text."""
    found = []
    for file in (file for room in SAYING for file in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.JoinedStr):
                continue
            for part, behind in zip(node.values, node.values[1:], strict=False):
                ends = isinstance(part, ast.Constant) and str(part.value).endswith("± ")
                constant = isinstance(behind, ast.FormattedValue) and ast.unparse(behind.value)
                if ends and constant != "ERRORS":
                    found.append(str(file.relative_to(ROOT)))
    assert set(found) == {"evaluation/rounding.py"}
