"""benchmarks/bare_loop.py on a small text."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from main import ROOT


@pytest.mark.parametrize(("symbols", "frame"), [("characters", "given"), ("bytes", "bos")])
def test_bare_loop_prints_nats_of_both_weights(
    symbols: str,
    frame: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("So shaken as we are, so wan with care, " * 90)
    line = ["bare_loop.py", str(text), "--symbols", symbols, "--frame", frame, "--steps", "30"]
    monkeypatch.setattr(sys, "argv", line)
    runpy.run_path(str(ROOT / "benchmarks" / "bare_loop.py"), run_name="__main__")
    numbers = [float(one) for one in re.findall(r"(\d\.\d{4})", capsys.readouterr().out)]
    assert len(numbers) == 4
    assert numbers[0] < 4  # nats of the trained weights; bytes begin at log 257 = 5.5
