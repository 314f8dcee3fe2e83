"""Published checkpoints, as a Hub's cache has them, under the commands of main.py."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import main
from hub.register import Model

COMMIT = "c" * 40


@pytest.fixture
def tokenizer(checkpoints: Path) -> Path:
    """60 tokens and a mask, which is the last."""
    return checkpoints / "hf" / "gidd"


@pytest.fixture
def cached(
    tmp_path: Path, checkpoints: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Lays a small folder out in the Hub's cache under a name, with a row of the register of its
    own sizes: those of the real models stay as they are."""
    registered: dict[str, Model] = {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("hub.open.models", lambda: registered)

    def lay_out(name: str, folder: str, row: Model | None = None) -> None:
        repository = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        shutil.copytree(checkpoints / folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        if row is not None:
            registered[name] = row._replace(
                name=name, rows=61, mask=row.mask and 60, length=16, tokenizer=str(tokenizer)
            )

    return lay_out


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs a command line as it is typed, within this process, in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()

    def run(line: str) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv(main.QUIET, "1")
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        monkeypatch.setattr(sys, "argv", ["main.py", *line.split()])
        main.command_line()

    return run
