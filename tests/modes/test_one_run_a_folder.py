"""A run directory has one writer, and a launcher as many processes as the trainer counts on."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from modes import build
from modes.settings import checked
from modes.train import resume
from modes.train import run as train
from storage import Held, holding
from tests.modes.conftest import ROOT


def compose(given: list[str]) -> dict[str, Any]:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return main.compose(given)


def test_a_second_run_in_the_same_folder_is_told_who_writes_there(
    arguments: list[str], tmp_path: Path
) -> None:
    settings, before = compose(arguments), sorted(tmp_path.rglob("*"))
    with holding(tmp_path / "run" / train.LOCK, "test"):
        message = rf"save_dir=.*run: process {os.getpid()} on {socket.gethostname()} \(since"
        with pytest.raises(Held, match=message):
            train.run(settings, arguments, main.compose)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refused_training_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    missing = [*arguments, f"data.path={tmp_path}/nowhere.txt"]
    with pytest.raises(FileNotFoundError):
        train.run(compose(missing), missing, main.compose)
    (tmp_path / "empty.txt").touch()
    empty = [*arguments, f"data.path={tmp_path}/empty.txt"]
    with pytest.raises(ValueError, match="empty"):
        train.run(compose(empty), empty, main.compose)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ['{"model_type": "gpt2"}', "[1]", "no JSON"])
def test_the_configuration_of_another_program_is_left_alone(
    content: str, arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"save_dir=.*config.json there is of another program"):
        train.run(compose(arguments), arguments, main.compose)
    assert (tmp_path / "run" / "config.json").read_text() == content


def test_a_run_that_never_saved_begins_again(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    settings = compose(arguments)
    (tmp_path / "run" / "config.json").write_text(json.dumps(settings))
    assert resume.resumed(settings).checkpoint is None


@pytest.mark.parametrize(("name", "launcher"), build.LAUNCHED.items())
@pytest.mark.parametrize(
    ("devices", "nodes", "started"), [("auto", 1, 2), (1, 1, 4), (2, 2, 2), ([0, 1], 1, 3)]
)
def test_a_launcher_and_the_trainer_count_alike(
    name: str,
    launcher: str,
    devices: Any,
    nodes: int,
    started: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, str(started))
    options = {"devices": devices, "num_nodes": nodes, "accelerator": "cpu"}
    with pytest.raises(ValueError, match=rf"^trainer.devices=.*{launcher} started {started} proc"):
        build.check_launch(options)
    count = 1 if devices == "auto" else devices if isinstance(devices, int) else len(devices)
    monkeypatch.setenv(name, str(count * nodes))
    build.check_launch(options)


@pytest.mark.parametrize(("devices", "count"), [("0,1", 2), ("-1", 1), (-1, 1)])
def test_devices_by_list_or_all(devices: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"devices": devices, "num_nodes": 1, "accelerator": "cpu"}
    monkeypatch.setenv("WORLD_SIZE", str(count))
    build.check_launch(options)
    monkeypatch.setenv("WORLD_SIZE", str(count + 1))
    with pytest.raises(ValueError, match="torchrun started"):
        build.check_launch(options)


@pytest.mark.parametrize("name", sorted(build.OURS))
def test_callbacks_that_would_work_against_the_program_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^callbacks.{name}: not with this program; "):
        build.users_callbacks({"callbacks": {name: {}}})


def test_a_monitor_that_is_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^callbacks.EarlyStopping.monitor=None: choose from"):
        build.users_callbacks({"callbacks": {"EarlyStopping": {"monitor": None}}})


@pytest.mark.parametrize("name", ["", None, "../../up", "..", "a\nb", 7, "x" * 101])
def test_a_name_of_a_text_is_a_word(name: Any, arguments: list[str]) -> None:
    settings = compose(arguments)
    settings["data"]["name"] = name
    with pytest.raises(ValueError, match=r"^data.name="):
        checked(settings)
