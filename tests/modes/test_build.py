"""The trainer: the processes of a launcher, and the callbacks of users."""

from typing import Any

import pytest

from modes import build


@pytest.mark.parametrize(("name", "launcher"), build.LAUNCHED.items())
@pytest.mark.parametrize(
    ("devices", "nodes", "started"), [("auto", 1, 2), (1, 1, 4), (2, 2, 2), ([0, 1], 1, 3)]
)
def test_check_launch_counts_processes_as_the_launcher(
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
def test_check_launch_of_devices_by_list(
    devices: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"devices": devices, "num_nodes": 1, "accelerator": "cpu"}
    monkeypatch.setenv("WORLD_SIZE", str(count))
    build.check_launch(options)
    monkeypatch.setenv("WORLD_SIZE", str(count + 1))
    with pytest.raises(ValueError, match="torchrun started"):
        build.check_launch(options)


@pytest.mark.parametrize("name", sorted(build.OURS))
def test_users_callbacks_refuse_those_against_the_program(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^callbacks.{name}: not with this program; "):
        build.users_callbacks({"callbacks": {name: {}}})


def test_users_callbacks_refuse_an_unknown_monitor() -> None:
    with pytest.raises(ValueError, match=r"^callbacks.EarlyStopping.monitor=None: choose from"):
        build.users_callbacks({"callbacks": {"EarlyStopping": {"monitor": None}}})
