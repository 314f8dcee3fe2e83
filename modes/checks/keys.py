"""The keys of a command, and all settings held to their fields; only the standard library."""

from collections.abc import Sequence
from dataclasses import replace

from modes.settings import ANY_CORPUS, NODES, Plain, Settings
from schema.check import accepted, build, node_class
from schema.fields import settings_of


def key_of(override: str) -> str:
    """The key of one override of the command line."""
    return override.lstrip("+~").partition("=")[0]


def keys_of(overrides: Sequence[str]) -> set[str]:
    """The keys on the command line."""
    return set(map(key_of, overrides))


def check_nodes(composed: Plain) -> None:
    """ValueError for a value in the place of a node, which interpolations would trip over."""
    for key, setting in NODES.items():
        if setting.limits.nodes is not None and not isinstance(composed[key], dict):
            raise ValueError(f"{key}={composed[key]!r}: must be a node with keys below it")


def checked(composed: Plain, overrides: Sequence[str] = ()) -> Settings:
    """The settings that `overrides` compose to.

    ValueError naming the key, the value and what is allowed; a line for each unknown key."""
    data, of_run, keys = composed.get("data"), {}, keys_of(overrides)
    # Where the text is that of the run to evaluate, the keys of any corpus may be given.
    if "eval.checkpoint_path" in keys and "data" not in keys and isinstance(data, dict):
        declared = settings_of(node_class(NODES["data"].limits, data, "data"))
        of_run = {key: data[key] for key in data if key in ANY_CORPUS and key not in declared}
        composed = composed | {"data": {key: data[key] for key in data if key not in of_run}}
    settings: Settings = build(Settings, composed)
    more = {key: accepted(f"data.{key}", value, ANY_CORPUS[key]) for key, value in of_run.items()}
    return replace(settings, more_data=more)
