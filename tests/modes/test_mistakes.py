"""Mistakes that are drawn for every key from its declared type and range, none listed by hand."""

import copy
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import initialize_config_dir

import main
from modes.checks.arguments import TEXTS, WORDS
from modes.checks.keys import checked
from modes.settings import GROUPS, Settings, defaults
from schema.check import node_class
from schema.fields import Setting, settings_of
from tests.modes.conftest import ROOT

HEAVY = ("torch", "lightning", "numpy", "transformers", "datasets", "tokenizers", "scipy", "pandas")
TYPES = (None, True, -1, 0, 1, 0.5, 1.5, "", "some text", "../../x", [], [1], ["a"], {"a": 1})
ENDLESS = (math.nan, math.inf, -math.inf, 1e30, 10**30, -(10**30))
Mistake = tuple[str, Any]  # a key and a value


def variants() -> list[tuple[str, str]]:
    """A group and a file for every settings dataclass, so that every key is in one of them."""
    named = [(group, name.partition("_")[2]) for group, name, _ in defaults() if group]
    return [(group, name) for group, name in named if name and not isinstance(GROUPS[group], type)]


@cache
def composed(group: str, name: str) -> dict[str, Any]:
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return main.composition([f"{group}={name}"])


def fields(cls: type, values: dict[str, Any], key: str = "") -> Iterator[tuple[str, Setting]]:
    for name, setting in settings_of(cls).items():
        below = f"{key}.{name}" if key else name
        if setting.limits.nodes is None:
            yield below, setting
        else:
            node = node_class(setting.limits, values[name], below)
            yield from fields(node, values[name], below)


def edges(setting: Setting) -> tuple[list[Any], list[Any]]:
    """Numbers just inside and just outside of the declared range."""
    assert setting.kind is not None
    limits, step = setting.limits, 1e-9 if float in setting.kind.types else 1
    inside, outside = [], []
    if limits.within is not None:
        low, high = json.loads(f"[{limits.within[1:-1]}]")
        for end, sign, shut in ((low, -1, limits.within[0]), (high, 1, limits.within[-1])):
            (inside if shut in "[]" else outside).append(end)
            inside.append(end - sign * step)
            outside.append(end + sign * step)
    if limits.at_least is not None:
        inside, outside = [*inside, limits.at_least], [*outside, limits.at_least - step]
    if limits.above is not None:
        inside, outside = [*inside, limits.above + step], [*outside, limits.above]
    if limits.at_most is not None:
        inside, outside = [*inside, limits.at_most], [*outside, limits.at_most + 1]
    return inside, outside


def is_of_type(value: Any, setting: Setting) -> bool:
    kind = setting.kind
    assert kind is not None
    if value is None:
        return kind.nullable
    if isinstance(value, str) and kind.choices:
        return value in kind.choices
    whole = type(value) is int and float in kind.types
    return whole or type(value) in kind.types


def mistakes(setting: Setting) -> list[Any]:
    """Values of another type, without end, beyond the range, and empty ones."""
    kind, limits, _ = setting
    if kind is None:
        return []
    wrong = [value for value in TYPES if not is_of_type(value, setting)]
    if kind.types & {int, float}:
        wrong += [*ENDLESS, *edges(setting)[1]]
    if str in kind.types and limits.written != "text" and not kind.choices:
        wrong.append("")
    if kind.item is not None:
        item = Setting(kind.item, limits, None)
        wrong += [[], *([value] for value in TYPES if not is_of_type(value, item))]
    return wrong


def put(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(settings)
    *groups, name = key.split(".")
    node = changed
    for group in groups:
        node = node[group]
    node[name] = value
    return changed


@pytest.mark.parametrize(("group", "name"), variants())
def test_every_mistake_is_refused_by_its_key(group: str, name: str) -> None:
    settings = composed(group, name)
    for key, setting in fields(Settings, settings):
        if not key.startswith(f"{group}.") and (group, name) != variants()[0]:
            continue  # the same in all variants
        for value in mistakes(setting):
            with pytest.raises(ValueError) as caught:
                checked(put(settings, key, value))
            assert str(caught.value).startswith(f"{key}="), (key, value, str(caught.value))
            assert "\n" not in str(caught.value)
        if setting.kind is not None and setting.kind.types <= {int, float}:
            for value in edges(setting)[0]:
                refused_as_a_whole(put(settings, key, value), key)


def refused_as_a_whole(settings: dict[str, Any], key: str) -> None:
    """A value in its range is taken, or does not go with another key of its node."""
    try:
        checked(settings)
    except ValueError as error:
        assert any(word in str(error) for word in ("must be below", "even multiple")), error


def drawn() -> list[tuple[str, str, Mistake]]:
    """One mistake of every key that has any, with the variant that has the key."""
    draw, every = random.Random(0), {}
    for group, name in variants():
        for key, setting in fields(Settings, composed(group, name)):
            found = mistakes(setting)
            if key in WORDS | TEXTS:  # from a recipe alone: the command line makes texts of them
                found = [value for value in found if value != ""]
            if found and key not in every:
                every[key] = group, name, (key, draw.choice(found))
    return list(every.values())


def argument(value: Any) -> str:
    """A value in the grammar of the command line."""
    text = json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
    return text.replace('{"a": 1}', "{a:1}")


def line_of(folder: Path, group: str, name: str, mistake: Mistake) -> list[str]:
    """The command that makes the mistake: on its own line, or in a recipe of the user's."""
    key, value = mistake
    if key not in WORDS | TEXTS:
        return [f"{group}={name}", f"{key}={argument(value)}"]
    (folder / "experiment").mkdir(exist_ok=True)
    for part in reversed(key.split(".")):
        value = {part: value}
    text = f"# @package _global_\n{yaml.safe_dump(value)}"
    (folder / "experiment" / "mine.yaml").write_text(text)
    return [f"--config-dir={folder}", f"{group}={name}", "experiment=mine"]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(main.QUIET, "1")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3))])
def test_a_command_with_a_mistake_is_one_line(
    part: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Of every fourth key: composing takes a quarter of a second."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for case in drawn()[part::4]:
        key, value = case[2]
        line = line_of(tmp_path / "recipes", *case)
        monkeypatch.setattr(sys, "argv", ["main.py", *line])
        with pytest.raises(SystemExit) as ended:
            main.command_line()
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"error: {key}="), (key, value, said)
        assert ended.value.code == 2
    assert not list((tmp_path / "work").iterdir()), "nothing is written"


def test_a_refusal_imports_nothing_heavy(tmp_path: Path) -> None:
    """In an interpreter of its own in which the heavy libraries cannot be imported."""
    lines = [line_of(tmp_path, *case) for case in drawn() if case[2][0] not in WORDS | TEXTS][::9]
    program = f"""
import sys
sys.modules |= dict.fromkeys({HEAVY!r})
sys.path[:0] = [{str(ROOT)!r}]
import main
for line in {lines!r}:
    sys.argv = ["main.py", *line]
    try:
        main.command_line()
    except SystemExit as ended:
        assert ended.code == 2, line
    else:
        raise AssertionError(line)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [said.partition("=")[0] for said in done.stderr.splitlines()] == [
        f"error: {line[-1].partition('=')[0]}" for line in lines
    ]
