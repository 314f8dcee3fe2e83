"""Tiny runs and their samples within the test's own process."""

import json
from pathlib import Path

from tests.composed import start
from tests.modes import commands
from tests.modes.conftest import TINY


def train(folder: Path, text: Path, *more: str) -> Path:
    """The directory of a tiny run on `text`."""
    places = [f"data.path={text}", "data.valid_split=tail", f"data.cache_dir={folder}/cache"]
    places += [f"checkpointing.save_dir={folder}/run", "trainer.max_steps=30", "optim.lr=0.01"]
    done = commands.run([*TINY, *places, *more], folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def sample(run: Path, results: Path, *more: str) -> dict:
    """The newest record of a mode=sample_eval, with the samples of its file."""
    given = ["mode=sample_eval", f"eval.checkpoint_path={run}", "trainer.accelerator=cpu"]
    given += ["loader.eval_batch_size=8", f"results_dir={results}", *more]
    start(*given)
    newest = max(results.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    record = json.loads(newest.read_text())
    return record | json.loads(Path(record["metrics"]["samples"]).read_text())
