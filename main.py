"""Composes the configuration, refuses what cannot be meant, and hands plain data to a mode.

python main.py mode=train algo=gidd
"""

import importlib
import itertools
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modes.checks import keys, messages
from modes.checks.arguments import (
    MULTIRUN,
    expanded,
    flags_first,
    overrides_of,
    own_configs,
    verbatim,
)
from modes.checks.combinations import check
from modes.checks.failures import is_ours, leave_process_group
from modes.checks.foreign import translate
from modes.checks.groups import choices, is_group, keys_of_runs, schemas, tolerated
from modes.checks.recipes import hint
from modes.checks.root import Root
from modes.checks.sweeps import check_apart

ROOT = Path(__file__).resolve().parent
# HYDRA_FULL_ERROR=1 in the user's environment shows tracebacks; worker processes see the one set
# below instead.
QUIET = "ONE_LINE_ERRORS"
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1" and QUIET not in os.environ
REFUSED_JOBS: list[str] = []  # of a sweep, which goes on with the next one
MODES = {
    "train": "modes.train.run",
    "ppl_eval": "modes.ppl_eval.run",
    "sample_eval": "modes.sample_eval.run",
    "downstream": "modes.downstream",
    "oracle": "modes.oracle.run",
    "audit": "modes.audit",
    "benchmark": "modes.benchmark.run",
    "leaderboard": "modes.leaderboard",
    "estimate": "modes.estimate",
}


ConfigStore.instance().store(name="root", node=Root)


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dicts, lists and numbers, interpolations and home folders resolved."""
    return expanded(OmegaConf.to_container(config, resolve=True, enum_to_str=True))  # type: ignore[arg-type]


def raw(overrides: ListConfig) -> list[str]:
    """The overrides as typed: their interpolations belong to what is composed of them."""
    return OmegaConf.to_container(overrides, resolve=False)  # type: ignore[return-value]


def compose(overrides: list[str]) -> dict[str, Any]:
    return plain(hydra.compose("config", overrides=overrides))


def keys_of(overrides: list[str]) -> dict[str, Any]:
    """The overridden keys and groups, with their values."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return {override.get_key_element().lstrip("+~"): override.value() for override in parsed}


def check_groups(arguments: list[str]) -> None:
    """Refuses what is not the name of one file of a group: Hydra takes a list for all of them on
    top of each other, and null for a fault of the program."""
    for text in overrides_of(arguments):
        group = text.partition("=")[0]
        if not is_group(group):
            continue
        (override,) = OverridesParser.create().parse_overrides([text])
        one = override.is_sweep_override() or isinstance(override.value(), str)
        if not one or not override.value():
            raise ConfigCompositionException(f"{text}: choose from {choices(group)}")


def check_types(
    config: dict[str, Any], overrides: list[str], chosen: Mapping[str, Any] | None = None
) -> None:
    """Refuses keys that the `chosen` files of the groups do not have, and values of another type
    than theirs, whether the command line says them or a recipe."""
    if chosen is None:
        composed = hydra.compose("config", overrides=overrides, return_hydra_config=True)
        chosen = composed.hydra.runtime.choices
    defaults = compose(schemas(chosen, config))
    known = keys_of_runs([text.lstrip("+") for text in overrides])
    wrong = [
        keys.no_such_key(key, defaults)
        for key in keys.unknown(config, defaults)
        if key not in known
    ]
    if wrong:
        raise ValueError("\n".join(keys.few(wrong)))
    keys.check_values_of_keys(config, defaults)


@hydra.main(version_base="1.3", config_path=str(ROOT / "configs"), config_name="config")
def main(config: DictConfig) -> None:
    overrides = raw(HydraConfig.get().overrides.task)
    try:
        settings = plain(config)
        chosen = HydraConfig.get().runtime.choices
        check_types(settings, overrides, chosen)
        check(settings, keys_of(overrides), chosen["algo"])
        if chosen["experiment"] is None and (line := hint(settings)):
            messages.note(line)
        name = "estimate" if settings["estimate"] else settings["mode"]
        mode = importlib.import_module(MODES[name])
        from training.signals import StopSignals  # no refusal waits for it

        with StopSignals():
            mode.run(settings, overrides, compose)
    except HydraException as error:  # a mode composed what cannot be
        if TRACEBACKS:
            raise
        refuse(explain(error, of_mode=True))
    except (ValueError, OSError, FloatingPointError) as error:
        if TRACEBACKS or not (isinstance(error, OSError) or is_ours(error)):
            raise  # a fault of the program; the system's own complaints speak for themselves
        refuse(str(error).splitlines())
    finally:
        leave_process_group()


def refuse(lines: Sequence[str]) -> None:
    """Prints them and ends with status 2; one job of a sweep alone, where it is one."""
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        sys.exit(2)
    task = raw(HydraConfig.get().overrides.task)
    REFUSED_JOBS.append(shlex.join(text for text in task if text not in sys.argv))


def explain(error: Exception, of_mode: bool = False) -> list[str]:
    """A line for an error of composition; for wrong keys of the command line one each. `of_mode`
    says that a mode composed it."""
    text, key = str(error), messages.missing_key(str(error))
    if isinstance(error, OverrideParseException):
        return [messages.of_grammar(error.override, text)]
    if key and of_mode:
        return [f"{key}: not every algorithm of benchmark.algos has this key"]
    wrong = wrong_keys(sys.argv[1:]) if key else []
    return wrong or [messages.of_composition(text, error.__cause__)]


def composed(arguments: list[str], overrides: list[str]) -> dict[str, Any]:
    """What `overrides` compose to outside of `main`."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return compose([*own_configs(arguments), *overrides])


def wrong_keys(arguments: list[str]) -> list[str]:
    """A line for every key of the command line that the chosen groups do not have."""
    given = overrides_of(arguments)
    groups = [text for text in given if is_group(text.partition("=")[0])]
    try:
        defaults = composed(arguments, groups)
    except HydraException as error:  # of a group
        return [messages.of_composition(str(error), error.__cause__)]
    wrong = [text.lstrip("+~").partition("=")[0] for text in given]
    known = keys_of_runs(given)
    wrong = [
        key
        for key in wrong
        if not is_group(key) and key not in known and not keys.is_known(key, defaults)
    ]
    if "mode=benchmark" in given and wrong and all(key.startswith("algo.") for key in wrong):
        return [f"{key}: not every algorithm of benchmark.algos has this key" for key in wrong]
    return keys.few(
        [keys.no_such_key(key, defaults) for key in wrong if not key.startswith("hydra")]
    )


def prepared(arguments: list[str]) -> list[str]:
    """The command line as Hydra reads it: foreign keys as they are said here, paths quoted, a `+`
    that is not needed taken away. What is so already stays: processes of a run get it again."""
    for text in arguments:
        if text.startswith("="):
            refuse([f"{text}: KEY=VALUE is needed"])
    said = translate(arguments)
    of_run = keys_of_runs(said.arguments)
    made = flags_first(verbatim([tolerated(text, of_run) for text in said.arguments]))
    if said.refused:
        refuse(keys.few([*said.refused, *wrong_keys(made)]))
    check_groups(made)
    check_sweep(made)
    for line in said.notes:
        messages.note(line)
    return made


def check_sweep(arguments: list[str]) -> None:
    """Refuses a sweep of which two trainings would share a folder, before the first begins."""
    if not any(flag in arguments for flag in MULTIRUN):
        return
    parsed = OverridesParser.create().parse_overrides(overrides_of(arguments))
    if any(
        override.is_sweep_override() and not override.is_discrete_sweep() for override in parsed
    ):
        return  # what it holds, Hydra finds out
    values = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [one.input_line or ""]
        for one in parsed
    ]
    check_apart([(job, composed(arguments, list(job))) for job in itertools.product(*values)])


def command_line() -> None:
    """Runs `main`; a mistake of the user ends in one line on stderr and status 2."""
    try:
        sys.argv[1:] = prepared(sys.argv[1:])
        # Without the first, Hydra prints errors itself, over several lines.
        os.environ |= {"HYDRA_FULL_ERROR": "1", QUIET: "1"}
        main()
    except KeyboardInterrupt:  # before a mode has its own answer to signals
        sys.exit(128 + signal.SIGINT)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        if TRACEBACKS:
            raise
        refuse(explain(error))
    except ValueError as error:
        if TRACEBACKS or not is_ours(error):
            raise
        refuse([str(error)])
    if REFUSED_JOBS:
        print(f"error: refused of the sweep: {'; '.join(REFUSED_JOBS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    command_line()
