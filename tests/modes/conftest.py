"""Runs of the real entry point on a small text."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.modes import forked

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "model.hidden_size=16",
    "model.n_blocks=1",
    "model.n_heads=2",
    "model.length=16",
    "loader.global_batch_size=4",
    "loader.eval_batch_size=8",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "trainer.val_check_interval=4",
    "trainer.limit_val_batches=2",
    "lr_scheduler.num_warmup_steps=2",
    "sampling.steps=8",
    "data.max_eval_blocks=24",
    "data=text",
]
Command = Callable[..., subprocess.CompletedProcess]


def lookup(settings: dict[str, Any], key: str) -> Any:
    """The value at a key with dots, None where there is none."""
    node: Any = settings
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some thousand words with a last tenth to hold out."""
    path = tmp_path_factory.mktemp("text") / "poem.txt"
    path.write_text(
        "\n".join(f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300))
    )
    return path


@pytest.fixture
def arguments(tmp_path: Path, text: Path) -> list[str]:
    """Overrides of a tiny run whose every file lies in `tmp_path`."""
    places = [f"data.path={text}", "data.valid_split=tail", f"data.cache_dir={tmp_path}/cache"]
    return [
        *TINY,
        *places,
        f"results_dir={tmp_path}/results",
        f"checkpointing.save_dir={tmp_path}/run",
    ]


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def command(arguments: list[str], environment: dict[str, str], tmp_path: Path) -> Command:
    """Runs main.py with the tiny settings and more, from a directory that is not the
    repository's."""

    def run(*more: str, base: bool = True) -> subprocess.CompletedProcess:
        return forked.run([*(arguments if base else []), *more], tmp_path, environment)

    return run
