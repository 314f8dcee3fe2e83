"""Composes the configuration, refuses what cannot be meant, and hands the settings to a mode.

python main.py mode=train algo=gidd
"""

import argparse
import importlib
import itertools
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from modes.checks import messages
from modes.checks.arguments import (
    HELP,
    MULTIRUN,
    PATHS,
    flags_first,
    overrides_of,
    own_configs,
    verbatim,
)
from modes.checks.combinations import check, check_checkpoint
from modes.checks.foreign import translate
from modes.checks.groups import addable, choices, is_group, usage
from modes.checks.keys import check_nodes, checked, key_of, keys_of
from modes.checks.recipes import hint
from modes.checks.sweep import check_apart
from modes.checks.track import check_track
from modes.settings import Settings, defaults
from schema.check import UnknownKeys, few, unknown
from training.signals import StopSignals

ROOT = Path(__file__).resolve().parent
# HYDRA_FULL_ERROR=1 in the user's environment shows tracebacks; worker processes see the one set
# below instead.
QUIET = "ONE_LINE_ERRORS"
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1" and QUIET not in os.environ
COMPOSITION = (HydraException, OmegaConfBaseException, yaml.YAMLError)  # its errors
REFUSED_JOBS: list[str] = []  # of a sweep, which goes on with the next one
MODES = {
    "train": "modes.train.run",
    "ppl_eval": "modes.ppl_eval.run",
    "sample_eval": "modes.sample_eval.run",
    "downstream": "modes.downstream",
    "oracle": "modes.oracle.run",
    "audit": "modes.audit.run",
    "benchmark": "modes.benchmark.run",
    "leaderboard": "modes.leaderboard",
    "export": "modes.export",
    "estimate": "modes.estimate",
}


if sys.version_info >= (3, 14):
    # argparse looks at each help text at once; one of Hydra 1.3 is no string until it is shown.
    argparse.ArgumentParser._check_help = lambda parser, action: None

for group, name, node in defaults():
    ConfigStore.instance().store(group=group, name=name, node=node)


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dicts, lists and numbers, interpolations resolved."""
    check_nodes(OmegaConf.to_container(config, resolve=False))  # type: ignore[arg-type]
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]


def typed(overrides: list[str]) -> list[str]:
    """The overrides as typed: their interpolations belong to what is composed of them."""
    raw: list[str] = OmegaConf.to_container(overrides, resolve=False)  # type: ignore[assignment]
    return [text.lstrip("+") for text in raw]


def composition(overrides: Sequence[str]) -> dict[str, Any]:
    """The settings that `overrides` compose to, unchecked."""
    return plain(hydra.compose("config", overrides=[addable(text) for text in overrides]))


def compose(overrides: list[str]) -> Settings:
    """The settings of a command with these overrides; ValueError for what they cannot be."""
    return checked(composition(overrides), overrides)


def check_groups(arguments: list[str]) -> None:
    """Refuses what is not the name of one file of a group: Hydra takes a list for all of them on
    top of each other, and null for a fault of the program."""
    for text in overrides_of(arguments):
        group = key_of(text)
        if not is_group(group):
            continue
        (override,) = OverridesParser.create().parse_overrides([text])
        is_single = override.is_sweep_override() or isinstance(override.value(), str)
        if not is_single or not override.value():
            raise ConfigCompositionException(f"{text}: choose from {choices(group)}")


@hydra.main(version_base="1.3", config_path=str(ROOT / "configs"), config_name="config")
def main(config: DictConfig) -> None:
    with refusing(config):
        overrides = typed(HydraConfig.get().overrides.task)
        choices = HydraConfig.get().runtime.choices
        settings = checked(plain(config), overrides)
        check(settings, keys_of(overrides), choices["algo"])
        check_checkpoint(settings)
        check_track(settings, list(map(key_of, overrides)), compose)
        if choices["experiment"] is None and (line := hint(settings)):
            messages.note(line)
        name = "estimate" if settings.estimate else settings.mode
        mode = importlib.import_module(MODES[name])
        with StopSignals():
            mode.run(settings, overrides, compose)


@contextmanager
def refusing(config: DictConfig | None = None) -> Iterator[None]:
    """A mistake of the user, and what the system refuses, ends in lines on stderr, which speak of
    the `config` where it is composed; a fault of the program in its traceback."""
    try:
        yield
    except BrokenPipeError:  # `command_line` ends the program
        raise
    except (*COMPOSITION, ValueError, OSError, FloatingPointError) as error:
        lines = explain(error, config)
        if TRACEBACKS or not lines:
            raise
        refuse(lines)
    finally:
        leave_process_group()


def explain(error: Exception, config: DictConfig | None) -> list[str]:
    """Lines for the user; none for a fault of the program."""
    if isinstance(error, OverrideParseException):
        return [messages.of_grammar(error.override, str(error))]
    if isinstance(error, COMPOSITION):
        return [messages.of_composition(str(error), error.__cause__)]
    if isinstance(error, UnknownKeys) and config is not None and config.get("mode") == "benchmark":
        return messages.of_rows(error)
    if isinstance(error, OSError) and error.strerror and config is not None:
        return [messages.of_file(error, {key: OmegaConf.select(config, key) for key in PATHS})]
    # The system's own complaints speak for themselves, those of a library about a value do not.
    return str(error).splitlines() if isinstance(error, OSError) or is_ours(error) else []


def is_ours(error: BaseException) -> bool:
    """Whether our own code raised it, as a message to the user, and not a library."""
    path = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def leave_process_group() -> None:
    """Without it, a process of several may abort at its exit, after all its work."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def refuse(lines: Sequence[str]) -> None:
    """Prints them and ends with status 2; one job of a sweep alone, where it is one."""
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        sys.exit(2)
    task = typed(HydraConfig.get().overrides.task)
    same = {text.lstrip("+") for text in sys.argv}
    REFUSED_JOBS.append(shlex.join(text for text in task if text not in same))


def composed_alone(arguments: list[str], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings that `overrides` compose to outside of `main`."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return composition([*own_configs(arguments), *overrides])


def prepared(arguments: list[str]) -> list[str]:
    """The command line as Hydra reads it: foreign keys as they are said here, paths quoted, a `+`
    where Hydra needs one. A line that is so already stays: processes of a run get it again."""
    for text in arguments:
        if text.startswith("="):
            refuse([f"{text}: KEY=VALUE is needed"])
    translation = translate(arguments)
    ours = flags_first(verbatim(translation.arguments))
    if translation.refused:
        composed = composed_alone(ours, overrides_of(ours))
        wrong = [line for _, line in unknown(Settings, composed)]
        refuse(few([*translation.refused, *wrong]))
    check_groups(ours)
    check_sweep(ours)
    for line in translation.notes:
        messages.note(line)
    typed = set(overrides_of(ours))
    return [addable(text) if text in typed else text for text in ours]


def check_sweep(arguments: list[str]) -> None:
    """Refuses a sweep of which two trainings would share a folder, before the first begins."""
    if not any(flag in arguments for flag in MULTIRUN):
        return
    parsed = OverridesParser.create().parse_overrides(overrides_of(arguments))
    swept = [override for override in parsed if override.is_sweep_override()]
    if not all(override.is_discrete_sweep() for override in swept):
        return  # what it holds, Hydra finds out
    values = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override in swept
        else [override.input_line or ""]
        for override in parsed
    ]
    check_apart([(job, composed_alone(arguments, job)) for job in itertools.product(*values)])


def command_line() -> None:
    """Runs `main`; a mistake of the user ends in one line on stderr and status 2."""
    try:
        with refusing():
            sys.argv[1:] = prepared(sys.argv[1:])
            if any(flag in sys.argv for flag in HELP):
                overrides = overrides_of(sys.argv[1:])
                composed = composed_alone(sys.argv[1:], overrides)
                print("\n".join(usage(checked(composed, overrides))))
            else:
                # Without the first, Hydra prints errors itself, over several lines.
                os.environ |= {"HYDRA_FULL_ERROR": "1", QUIET: "1"}
                if not sys.stderr.isatty():  # a progress bar's seconds: a log grows for days
                    os.environ.setdefault("TQDM_MININTERVAL", "30")
                main()
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:  # before a mode has its own answer to signals
        sys.exit(128 + signal.SIGINT)
    if REFUSED_JOBS:
        print(f"error: refused of the sweep: {'; '.join(REFUSED_JOBS)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    command_line()
