"""Paths of the command line and of recipes: every letter is itself, `~` is the home folder."""

import os
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser

import main
from modes.checks.arguments import (
    LISTS,
    TEXTS,
    WORDS,
    overrides_of,
    own_configs,
    verbatim,
)
from modes.checks.keys import checked
from modes.settings import Settings, stored
from schema.fields import walk
from tests.modes.conftest import lookup

NAMES = ["données", "语料", "😀", "it's", "a#b", "x;y", "run (2)", "lr=0.1", "x[1]", "{x}", "a,b"]
NAMES += ["7", "1e5", "true", "nan", " a ", 'a"b', "a\\", 'a\\"', "[x]", "~", "a:b", "$HOME", "50%"]
NAMES += ["a/../b", "./x", "é/ü (1)/c,d", "-x", "@x", "a|b?*", "\t", "train[:-100]", "x=(y"]
ConfigStore.instance().store(name="one_path", node={"data": {"path": None}, "results_dir": None})


def read(typed: str) -> Any:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return hydra.compose("one_path", overrides=verbatim([typed])).data.path


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_what_was_typed(name: str) -> None:
    assert read(f"data.path={name}") == name
    assert read(f"+data.path=in {name}") == f"in {name}", "with a plus"
    once = verbatim([f"data.path={name}"])
    assert verbatim(once) == once, "a process that this one starts gets it so"


def test_quotes_null_and_interpolations_keep_their_meaning() -> None:
    assert read("data.path='a b'") == "a b"
    assert read('data.path="a b"') == "a b"
    assert read("data.path=null") is None
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        typed = verbatim(["checkpointing.save_dir=sw (1)/lr${optim.lr},${data.name}"])
        settings = main.compose([*typed, "optim.lr=0.5"])
    assert settings.checkpointing.save_dir == "sw (1)/lr0.5,stdlib"


@pytest.mark.parametrize("key", sorted(WORDS | LISTS))
def test_every_such_key_is_quoted(key: str) -> None:
    assert verbatim([f"{key}=run (2)"]) == [f'{key}="run (2)"']
    assert verbatim([f"{key}=plain/x-1.txt"]) == [f"{key}=plain/x-1.txt"]


@pytest.mark.parametrize("key", sorted(LISTS))
def test_lists_hold_paths(key: str) -> None:
    assert verbatim([f"{key}=[run (2), mine:~/é,'x,y']"]) == [
        f"""{key}=["run (2)","mine:~/é",'x,y']"""
    ]


def test_every_key_that_says_path_or_folder_is_one() -> None:
    """A new one would be grammar again, and its `~` a folder."""
    paths = {key for key, setting in walk(Settings) if setting.limits.written == "path"}
    for key, _ in walk(Settings):
        if key.endswith(("_path", "_dir", ".path", ".dir")):
            assert key in paths & (WORDS | LISTS), key
    assert {"sampling.texts", "sampling.tasks", "eval.corpora"} <= paths
    assert "data.train_split" in WORDS and "sampling.prompt" in TEXTS


def values(override: str) -> list[str]:
    (parsed,) = OverridesParser.create().parse_overrides([override])
    return (
        [f"{key}" for key in parsed.sweep_string_iterator()] if parsed.is_sweep_override() else []
    )


def test_a_sweep_over_paths_is_one() -> None:
    _, over = verbatim(["-m", "eval.checkpoint_path=run (1),it's,plain,${x.y}"])
    assert values(over) == ['"run (1)"', '"it\'s"', "plain", '"${x.y}"']
    _, chosen = verbatim(["-m", "data.path=choice(a,b)"])
    assert values(chosen) == ["a", "b"]
    assert values(verbatim(["data.path=a,b"])[0]) == [], "without -m a comma is a comma"


def test_flags_and_their_values_are_no_overrides() -> None:
    line = ["--config-dir", "/a b", "-m", "algo=mdlm", "--cfg", "job", "~wandb"]
    assert overrides_of(line)[0] == "algo=mdlm"
    assert "/a b" not in overrides_of(line)
    assert own_configs(line) == ['hydra.searchpath=["file:///a b"]']
    assert own_configs(["--config-dir=/a"]) == ['hydra.searchpath=["file:///a"]']
    assert own_configs(["algo=mdlm"]) == []


@pytest.fixture
def settings() -> dict[str, Any]:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return main.composition(["data=text"])


def test_home_is_found_in_every_path(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/her")
    settings["mode"] = "leaderboard"
    for key, setting in walk(Settings):
        group, _, name = key.rpartition(".")
        node = lookup(settings, group) if group else settings
        if setting.limits.written == "path" and name in node:
            node[name] = ["~/a", "mine:~/b"] if key in LISTS else "~/a b"
    settings["data"]["cache_dir"] = "~/.cache/discrete-diffusion"
    made = stored(checked(settings))
    for key in {key for key, setting in walk(Settings) if setting.limits.written == "path"}:
        listed = ["/home/her/a", "mine:/home/her/b"]
        if key != "data.cache_dir":
            assert lookup(made, key) == (listed if key in LISTS else "/home/her/a b"), key
    # A default is no setting of the user's: its own room finds the home folder.
    assert lookup(made, "data.cache_dir") == "~/.cache/discrete-diffusion"


@pytest.mark.parametrize("value", ["gpt2", "./x", "a//b", "x~", "~nobody-of-this-name/x", None])
def test_other_values_stay_to_the_letter(value: Any, settings: dict[str, Any]) -> None:
    settings["data"]["path"] = value
    assert stored(checked(settings))["data"]["path"] == value


def test_a_user_without_a_home_keeps_the_sign(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    settings["data"]["path"] = "~/x"
    assert stored(checked(settings))["data"]["path"] == "~/x"


def test_a_run_with_odd_paths(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Path
) -> None:
    """The command line as a user types it, `~` and all, to the files that it leaves."""
    home = tmp_path / "it's #1 (é)"
    (home / "lr=0.1").mkdir(parents=True)
    (home / "c;[1],{x}.txt").write_bytes(text.read_bytes())
    own = ["data.path=~/c;[1],{x}.txt", "data.cache_dir=~/lr=0.1", "checkpointing.save_dir=~/r,(2)"]
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv(main.QUIET, "1")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    kept = [one for one in arguments if one.split("=")[0] not in [o.split("=")[0] for o in own]]
    monkeypatch.setattr(sys, "argv", ["main.py", *kept, *own, "trainer.max_steps=2"])
    monkeypatch.chdir(tmp_path)
    main.command_line()
    assert (home / "r,(2)" / "checkpoints" / "last.ckpt").is_file()
    assert any((home / "lr=0.1").iterdir())
    assert not (tmp_path / "~").exists()
