"""The points of sampling.sweep, and the trainings of one command with -m that would share a run
directory; only the standard library."""

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from modes.checks.groups import is_group
from modes.checks.keys import key_of
from modes.settings import Plain
from samplers.settings import Sampling
from schema.check import complaint
from schema.fields import settings_of

SWEPT = (  # what may differ between the points of a sweep
    *("coins", "draws", "entropy_bound", "eta", "grid", "guidance", "kappa", "min_p"),
    *("noise_removal", "nucleus", "order", "p_nucleus", "per_step", "predictor", "steps"),
    *("temperature", "top_k"),
)


def points(sampling: Sampling) -> list[Sampling]:
    """`sampling` once for every combination of the values in its sweep, the last key varying
    fastest; once without one. ValueError names the key of the sweep and what is allowed."""
    sweep = sampling.sweep or {}
    for key, values in sweep.items():
        _check_swept(key, values)
    return [
        replace(sampling, **dict(zip(sweep, values, strict=True)))
        for values in product(*sweep.values())
    ]


def _check_swept(key: str, values: Any) -> None:
    if key not in SWEPT:
        raise ValueError(f"sampling.sweep.{key}: choose from {', '.join(SWEPT)}")
    where = f"sampling.sweep.{key}={values!r}"
    if not isinstance(values, list) or not values:
        raise ValueError(f"{where}: must be a list of at least one value")
    for number, value in enumerate(values):
        reason = complaint(value, settings_of(Sampling)[key])
        if reason is not None:
            raise ValueError(f"{where}: {value!r} {reason}")
        if value in values[:number]:
            raise ValueError(f"{where}: {value!r} is there twice")


def check_plotting() -> None:
    """ValueError where the packages that draw a sweep are missing."""
    missing = [name for name in ("altair", "vl_convert") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"sampling.sweep: needs the package {' and '.join(missing)} "
            f"(pip install altair vl-convert-python)"
        )


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
