"""A run directory has one writer, and nothing in it is lost."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import main
from modes.checks.keys import checked
from modes.settings import stored
from modes.train import resume
from modes.train import run as train
from storage import Held, holding
from tests.composed import compose


def test_run_directory_names_its_writer_to_a_second_run(
    arguments: list[str], tmp_path: Path
) -> None:
    settings, before = compose(arguments), sorted(tmp_path.rglob("*"))
    with holding(tmp_path / "run" / train.LOCK, "test"):
        message = rf"save_dir=.*run: process {os.getpid()} on {socket.gethostname()} \(since"
        with pytest.raises(Held, match=message):
            train.run(settings, arguments, main.compose)
    assert sorted(tmp_path.rglob("*")) == before


def test_run_directory_of_a_refused_run_is_not_made(arguments: list[str], tmp_path: Path) -> None:
    missing = [*arguments, f"data.path={tmp_path}/nowhere.txt"]
    with pytest.raises(FileNotFoundError):
        train.run(compose(missing), missing, main.compose)
    (tmp_path / "empty.txt").touch()
    empty = [*arguments, f"data.path={tmp_path}/empty.txt"]
    with pytest.raises(ValueError, match="empty"):
        train.run(compose(empty), empty, main.compose)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ['{"model_type": "gpt2"}', "[1]", "no JSON", "[" * 10**5])
def test_run_directory_of_another_program_is_left_alone(
    content: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"save_dir=.*config.json there is of another program"):
        train.run(compose(arguments), arguments, main.compose)
    assert (tmp_path / "run" / "config.json").read_text() == content


def test_run_directory_whose_checkpoint_cannot_be_reached_is_left_alone(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    link = tmp_path / "run" / "checkpoints" / "last.ckpt"
    link.symlink_to("/nowhere/last.ckpt")
    with pytest.raises(FileNotFoundError, match=r"save_dir=.*is a link to /nowhere/last.ckpt"):
        train.run(compose(arguments), arguments, main.compose)
    assert link.is_symlink()


def test_run_directory_without_a_checkpoint_is_new(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    settings = compose(arguments)
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored(settings)))
    assert resume.resumed(settings).checkpoint is None


@pytest.mark.parametrize("name", ["", None, "../../up", "..", "a\nb", 7, "x" * 101])
def test_data_name_is_a_word(name: Any, arguments: list[str]) -> None:
    plain = stored(compose(arguments))
    plain["data"]["name"] = name
    with pytest.raises(ValueError, match=r"^data.name="):
        checked(plain)
