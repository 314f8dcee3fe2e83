"""Composes the configuration, refuses what cannot be meant, and hands plain data to a mode.

python main.py mode=train algo=gidd
"""

import difflib
import importlib
import os
import re
import sys
import traceback
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modes.checks.sampling import verbatim
from modes.checks.settings import check
from modes.checks.values import lookup

ROOT = Path(__file__).resolve().parent
# HYDRA_FULL_ERROR=1 in the user's environment shows tracebacks; worker processes see the one set
# below instead.
QUIET = "ONE_LINE_ERRORS"
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1" and QUIET not in os.environ


class Mode(Enum):
    """Each names a module of the room modes/, whose `run` takes the configuration as plain data."""

    train = "train"
    ppl_eval = "ppl_eval"
    sample_eval = "sample_eval"
    downstream = "downstream"
    audit = "audit"
    oracle = "oracle"
    benchmark = "benchmark"
    leaderboard = "leaderboard"


@dataclass
class Root:
    """The top level of the configuration; the groups below it are the keyword arguments of what
    they name."""

    mode: Mode = Mode.train
    seed: int = 1
    results_dir: Any = "results"  # mode=leaderboard takes several
    estimate: bool = False
    algo: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    loader: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    lr_scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    checkpointing: dict[str, Any] = field(default_factory=dict)
    eval: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    benchmark: dict[str, Any] = field(default_factory=dict)
    oracle: dict[str, Any] = field(default_factory=dict)
    wandb: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(name="root", node=Root)


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dicts, lists and numbers, interpolations resolved."""
    return OmegaConf.to_container(config, resolve=True, enum_to_str=True)  # type: ignore[return-value]


def raw(overrides: ListConfig) -> list[str]:
    """The overrides as typed: their interpolations belong to what is composed of them."""
    return OmegaConf.to_container(overrides, resolve=False)  # type: ignore[return-value]


def compose(overrides: list[str]) -> dict[str, Any]:
    return plain(hydra.compose("config", overrides=overrides))


def keys_of(overrides: list[str]) -> dict[str, Any]:
    """The overridden keys and groups, with their values."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element().lstrip("+~"): override.value() for override in parsed}


def is_group(key: str) -> bool:
    return (ROOT / "configs" / key).is_dir()


def choices(group: str) -> str:
    return ", ".join(sorted(file.stem for file in (ROOT / "configs" / group).glob("*.yaml")))


def check_groups(arguments: list[str]) -> None:
    """Refuses what is not the name of one file of a group: Hydra takes a list for all of them on
    top of each other, and null for a fault of the program."""
    for text in arguments:
        group = text.partition("=")[0]
        if not group or not is_group(group):
            continue
        (override,) = OverridesParser.create().parse_overrides([text])
        one = override.is_sweep_override() or isinstance(override.value(), str)
        if not one or not override.value():
            raise ConfigCompositionException(f"{text}: choose from {choices(group)}")


def check_types(config: dict[str, Any], overrides: list[str]) -> None:
    """Refuses an override of another type than the value that it replaces."""
    groups = [text for text in overrides if is_group(text.partition("=")[0])]
    defaults = compose(groups)
    for key in keys_of(overrides):
        old, new = lookup(defaults, key), lookup(config, key)
        allowed = {bool: (bool,), int: (int,), float: (int, float)}.get(type(old))
        if allowed and new is not None and type(new) not in allowed:
            raise ValueError(
                f"{key}={new!r}: must be of type {type(old).__name__}, such as {old!r}"
            )


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
def main(config: DictConfig) -> None:
    overrides = raw(HydraConfig.get().overrides.task)
    settings = plain(config)
    try:
        check_types(settings, overrides)
        check(settings, keys_of(overrides))
        name = "estimate" if settings["estimate"] else settings["mode"]
        mode = importlib.import_module(f"modes.{name}")
        from training.signals import StopSignals  # no refusal waits for it

        with StopSignals():
            mode.run(settings, overrides, compose)
    except HydraException as error:  # a mode composed what cannot be
        if TRACEBACKS:
            raise
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError, FloatingPointError) as error:
        if TRACEBACKS or not (isinstance(error, OSError) or is_ours(error)):
            raise  # a fault of the program; the system's own complaints speak for themselves
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        leave_process_group()


def leave_process_group() -> None:
    """Without it, a process of several may abort at its exit, after all its work."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def explain(error: Exception) -> str:
    """One line for an error of composition: the key, the value, what is allowed."""
    text = str(error)
    if match := re.search(r"Could not find '([\w-]+)/(.+)'", text):
        group, value = match.groups()
        return f"{group}={value}: choose from {choices(group)}"
    if match := re.search(r"Could not override '([\w.\-/]+)'", text):
        key = match.group(1)
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            node, parent = compose([a for a in sys.argv[1:] if is_group(a.partition("=")[0])]), ""
        for part in key.split("."):
            if not isinstance(node, dict) or part not in node:
                break
            node, parent = node[part], f"{parent}{part}."
        if not isinstance(node, dict):
            return f"{key}: not every algorithm of benchmark.algos has this key"
        allowed = [f"{parent}{name}" for name in node]
        close = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return f"{key}: there is no such key; {hint}known: {', '.join(allowed)}"
    if "Error merging override" in text and error.__cause__ is not None:
        reason = str(error.__cause__).splitlines()[0]
        return f"{text.removeprefix('Error merging override ').strip()}: {reason}"
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def is_ours(error: BaseException) -> bool:
    """Whether our own code raised it, as a message to the user, and not a library on our
    account."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(frame.filename).resolve()
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def command_line() -> None:
    """Runs `main`; a mistake of the user ends in one line on stderr and status 2."""
    sys.argv[1:] = verbatim(sys.argv[1:])  # a text is no grammar
    # Without the first, Hydra prints errors itself, over several lines.
    os.environ |= {"HYDRA_FULL_ERROR": "1", QUIET: "1"}
    try:
        check_groups(sys.argv[1:])
        main()
    except (HydraException, OmegaConfBaseException) as error:
        if TRACEBACKS:
            raise
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    command_line()
