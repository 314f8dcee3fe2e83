"""The points of sampling.sweep, refused before anything is loaded; only the standard library."""

import importlib.util
from collections.abc import Callable
from itertools import product
from typing import Any

from samplers.settings import Sampling
from schema.check import complaint
from schema.fields import settings_of

SWEPT = (  # what may differ between the points of a sweep
    *("coins", "draws", "entropy_bound", "eta", "grid", "guidance", "kappa", "min_p"),
    *("noise_removal", "nucleus", "order", "p_nucleus", "per_step", "predictor", "steps"),
    *("temperature", "top_k"),
)


def points(
    sweep: Any, options: dict[str, Any], check: Callable[[dict[str, Any]], None]
) -> list[dict[str, Any]]:
    """`options` once for every combination of the values in sampling.sweep, the last key varying
    fastest; each passes `check`, which refuses what a single command with it would.

    ValueError names the key of the sweep and what is allowed."""
    if not isinstance(sweep, dict) or not sweep:
        raise ValueError(
            f"sampling.sweep={sweep!r}: must be lists by key, such as {{temperature: [0.8, 1.0]}}"
        )
    for key, values in sweep.items():
        _check_swept(key, values)
    combined = [
        options | dict(zip(sweep, values, strict=True)) for values in product(*sweep.values())
    ]
    for point in combined:
        check(point)
    return combined


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
