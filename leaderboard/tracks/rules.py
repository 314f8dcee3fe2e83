"""The rules of a track, held against the configuration of a command or of a record.

The configuration that `track=NAME` alone composes to is the reference: a key that makes a result
what it is has the value that it has there, unless the track leaves it free."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from leaderboard.run_key import EXECUTION, flat
from schema.check import shown

Settings = Mapping[str, Any]

# Groups whose keys make a result what it is, but for those of where, how fast and what else.
SETTLED = (
    *("algo", "benchmark", "callbacks", "data", "eval", "loader", "lr_scheduler", "model", "noise"),
    *("optim", "protocol", "trainer", "training"),
)
BESIDE = EXECUTION | {
    *(f"benchmark.{key}" for key in ("algos", "jobs", "row", "scorer")),
    *(f"eval.{key}" for key in ("checkpoint_path", "output_dir", "quality_protocol", "reference")),
    *(f"eval.{key}" for key in ("tasks", "tasks_path", "trust_tasks", "num_fewshot", "limit")),
    *("eval.gen_ppl_eval_model_name_or_path", "eval.downstream_score"),
    *("model.name", "trainer.precision", "trainer.max_steps"),
    *(f"trainer.{key}" for key in ("benchmark", "detect_anomaly", "deterministic", "profiler")),
}
UNITS = ("tokens", "steps", "seconds", "FLOPs")  # of a budget
BUDGET = re.compile(rf"(\d+(?:\.\d+)?(?:e\d+)?)([kMB]?)\s*({'|'.join(UNITS)})")
MULTIPLES = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000}


class Budget(NamedTuple):
    """The training of a run: an amount of `unit`."""

    amount: float
    unit: str


def budget_of(text: Any) -> Budget | None:
    """Of "2M tokens", "300 steps", "1.5k seconds", "2e15 FLOPs"; None for anything else, for
    nothing and for what is beyond a float."""
    match = BUDGET.fullmatch(str(text).strip())
    amount = float(match[1]) * MULTIPLES[match[2]] if match else 0.0
    return Budget(amount, match[3]) if match and 0 < amount < math.inf else None


def broken(config: Settings, reference: Settings) -> Iterator[str]:
    """A line for each key that has not the value of the track, and may not have another."""
    track, settled, seconds = reference["track"], _settled(reference), _seconds(reference)
    free = track["free"] or []
    for key, value in _settled(config).items():
        has = settled.get(key)
        is_free = any(key == name or key.startswith(f"{name}.") for name in free)
        if is_free or value in (has, seconds.get(key, has)):
            continue
        yield (
            f"{key}={_said(value)}: track={track['name']} has {_said(has)}; an entry may change "
            f"{', '.join(free or ['nothing'])}"
        )


def _settled(config: Settings) -> dict[str, Any]:
    """The keys that a track settles, with their values."""
    keys = {key: value for key, value in flat(config).items() if key.split(".")[0] in SETTLED}
    return {key: value for key, value in keys.items() if key not in BESIDE}


def _seconds(reference: Settings) -> dict[str, Any]:
    """The key by which a run keeps to a budget of seconds, which a command does not give itself."""
    budget = budget_of(reference["benchmark"]["budget"])
    limit = budget.amount if budget is not None and budget.unit == "seconds" else None
    return {"training.max_seconds": limit}


def _said(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
