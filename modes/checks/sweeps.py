"""Trainings of one sweep that would share a run directory; only the standard library."""

from collections.abc import Sequence

from modes.checks.groups import is_group
from modes.checks.keys import key_of
from modes.settings import Plain


def check_apart(jobs: Sequence[tuple[Sequence[str], Plain]]) -> None:
    """ValueError where two jobs, overrides with what they compose to, train in one folder."""
    folders: dict[str, Sequence[str]] = {}
    for overrides, settings in jobs:
        if settings["mode"] != "train" or settings["estimate"]:
            continue
        folder = settings["checkpointing"]["save_dir"]
        other = folders.setdefault(folder, overrides)
        if other is not overrides:
            mine, its = _differing(overrides, other), _differing(other, overrides)
            raise ValueError(
                f"checkpointing.save_dir={folder}: {' '.join(its)} and {' '.join(mine)} would "
                f"share it; put what differs into it: {_remedy(mine)}"
            )


def _differing(overrides: Sequence[str], other: Sequence[str]) -> list[str]:
    return [text for text in overrides if text not in other]


def _remedy(differing: Sequence[str]) -> str:
    keys = [f"{key}.name" if is_group(key) else key for key in map(key_of, differing)]
    parts = [f"{key.removesuffix('.name').rpartition('.')[2]}${{{key}}}" for key in keys]
    return f"checkpointing.save_dir='sw/{'-'.join(parts)}'"
