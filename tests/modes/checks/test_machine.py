"""Modes that are one process, in float32."""

from typing import Any, get_args

import pytest

from backbones.settings import Model
from modes.checks.machine import IN_FLOAT32, LAUNCHED, SHARED, check_machine
from modes.settings import Mode, Settings


def settings(mode: Any, attention: Any = "sdpa") -> Settings:
    return Settings(mode=mode, model=Model(attention=attention))


@pytest.mark.parametrize(("name", "launcher"), LAUNCHED.items())
@pytest.mark.parametrize("mode", get_args(Mode))
def test_check_machine_of_several_processes(
    mode: str, name: str, launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    check_machine(settings(mode))
    monkeypatch.setenv(name, "4")
    if mode in SHARED:
        check_machine(settings(mode))
        return
    with pytest.raises(ValueError, match=rf"^mode={mode}: is one process, but {launcher} .* 4 \("):
        check_machine(settings(mode))


@pytest.mark.parametrize("mode", get_args(Mode))
def test_check_machine_of_an_attention_without_float32(mode: str) -> None:
    if mode not in IN_FLOAT32:
        check_machine(settings(mode, "flash"))
        return
    with pytest.raises(ValueError, match=rf"^model.attention=flash: mode={mode} .* float32"):
        check_machine(settings(mode, "flash"))
