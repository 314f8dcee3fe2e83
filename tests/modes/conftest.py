"""Runs of the real entry point on a small text."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modes import commands, forked

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
# Of each line that it reads, a command, it prints the end and what was said.
WITHOUT_TORCH = f"""
import json, sys
from pathlib import Path
sys.modules["torch"] = None
sys.path[:0] = [{str(ROOT)!r}]
from tests.modes import commands
for line in sys.stdin:
    done = commands.run(json.loads(line), Path.cwd())
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""
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
def command(arguments: list[str], tmp_path: Path) -> Command:
    """Runs main.py with the tiny settings and more, within this process, from a directory that is
    not the repository's."""

    def run(*more: str, base: bool = True) -> subprocess.CompletedProcess:
        return commands.run([*(arguments if base else []), *more], tmp_path)

    return run


@pytest.fixture
def program(arguments: list[str], environment: dict[str, str], tmp_path: Path) -> Command:
    """As `command`, in a process of its own: for several of them, and where its end matters."""

    def run(*more: str) -> subprocess.CompletedProcess:
        return forked.run([*arguments, *more], tmp_path, environment)

    return run


@pytest.fixture(scope="session")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """Runs main.py in an interpreter, one for all commands, in which `import torch` fails."""
    folder = tmp_path_factory.mktemp("without_torch")
    line = [sys.executable, "-c", WITHOUT_TORCH]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(line, cwd=folder, text=True, **pipes) as interpreter:
        given, answers = interpreter.stdin, interpreter.stdout
        assert given is not None and answers is not None

        def run(*arguments: str) -> subprocess.CompletedProcess:
            print(json.dumps(arguments), file=given, flush=True)
            return subprocess.CompletedProcess(arguments, *json.loads(answers.readline()))

        yield run
        given.close()  # which ends it
