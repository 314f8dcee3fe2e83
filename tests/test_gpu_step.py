"""benchmarks/gpu_step.py on a CPU, small."""

import os
from pathlib import Path

import pytest

from tests.modes import forked

TINY = ["model.hidden_size=32", "model.n_heads=2", "model.n_blocks=2", "model.length=32"]
TINY += ["model.cond_dim=8", "data.tokenizer_name_or_path=bytes"]
NAMES = ("ar", "mdlm", "duo_distill")


def test_gpu_step_prints_speed_utilisation_and_shares(tmp_path: Path) -> None:
    line = ["--cpu", "--batch-size", "4", "--repeats", "2", *TINY, "--only", *NAMES]
    file = forked.ROOT / "benchmarks" / "gpu_step.py"
    done = forked.run(line, tmp_path, os.environ | {"OMP_NUM_THREADS": "1"}, file=file)
    assert done.returncode == 0, done.stderr
    first, _, header, _, *rows = done.stdout.splitlines()
    assert first.startswith("CPU, torch ") and "float32" in first
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    assert columns[:5] == ["algorithm", "tokens/s", "with all logits", "MFU", "peak, GB"]
    assert [row.split("|")[1].strip() for row in rows] == list(NAMES)
    shares = []
    for text in rows:
        cells = dict(
            zip(columns, (cell.strip() for cell in text.strip("|").split("|")), strict=True)
        )
        assert float(cells["tokens/s"].replace(",", "")) > 0
        assert float(cells["with all logits"].replace(",", "")) > 0
        assert 0 < float(cells["MFU"].rstrip("%")) < 100
        assert cells["peak, GB"] == cells["idle"] == "-"
        shares.append([int(cells[part].rstrip("%")) for part in (*columns[5:9], "rest")])
        assert sum(shares[-1]) == pytest.approx(100, abs=3)
    # On a busy machine a part may have no whole percent in one row, not in all of them.
    assert all(max(of_part) > 0 for of_part in list(zip(*shares, strict=True))[:4])
