"""A tiny run, evaluations of it within the test's process, and signals in their midst."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from algos.build import ALGORITHMS
from tests.composed import start
from tests.modes.conftest import TINY

OF_RUN = ALGORITHMS["mdlm"]
Run = Callable[..., None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, text: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    places = [f"data.path={text}", "data.valid_split=tail", f"data.cache_dir={folder}/cache"]
    start(*TINY, *places, f"checkpointing.save_dir={folder}/run", "trainer.max_steps=4")
    return folder / "run"


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own, since samples lie beside it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def evaluate(copy: Path, tmp_path: Path) -> Run:
    def run(mode: str, *more: str, results: str = "results") -> None:
        given = [
            f"mode={mode}",
            f"eval.checkpoint_path={copy}",
            f"results_dir={tmp_path}/{results}",
        ]
        start(*given, "trainer.accelerator=cpu", "loader.eval_batch_size=8", *more)

    return run


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]


class Signalled:
    """Sends a signal to the process at call number `at` of a method or function."""

    def __init__(self, work: Callable[..., Any], at: int, number: int = signal.SIGTERM):
        self.work, self.at, self.number, self.calls = work, at, number, 0

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), self.number)
        return self.work(*arguments, **keywords)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Signalled]]:
    """Puts a counter that may send a signal before a function of a module or class."""

    def put(owner: Any, name: str, at: int = 0, number: int = signal.SIGTERM) -> Signalled:
        counted = Signalled(getattr(owner, name), at, number)
        monkeypatch.setattr(owner, name, lambda *a, **k: counted(*a, **k))
        return counted

    yield put


def samples(record: dict[str, Any]) -> Any:
    return json.loads(Path(record["metrics"]["samples"]).read_text())["samples"]
