"""The points of sampling.sweep, refused before anything is loaded; only the standard library."""

import importlib.util
import math
from collections.abc import Callable
from itertools import product
from typing import Any

SWEPT: dict[str, tuple[type, ...]] = {  # what may differ between the points of a sweep
    "steps": (int,),
    "temperature": (int, float),
    "top_k": (int, type(None)),
    "p_nucleus": (int, float),
    "min_p": (int, float),
    "guidance": (int, float),
    "predictor": (str, type(None)),
    "grid": (str,),
    "kappa": (str,),
    "eta": (int, float, type(None)),
    "noise_removal": (str,),
    "nucleus": (str,),
    "draws": (str,),
}


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
        raise ValueError(f"sampling.sweep.{key}: choose from {', '.join(sorted(SWEPT))}")
    where = f"sampling.sweep.{key}={values!r}"
    if not isinstance(values, list) or not values:
        raise ValueError(f"{where}: must be a list of at least one value")
    for number, value in enumerate(values):
        finite = not isinstance(value, float) or math.isfinite(value)
        if type(value) not in SWEPT[key] or not finite:
            kinds = " or ".join(
                "null" if kind is type(None) else kind.__name__ for kind in SWEPT[key]
            )
            raise ValueError(f"{where}: {value!r} must be of type {kinds}")
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
