"""The points of a sweep over several processes: none waits for the one that measures."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modes.sample_eval import run as sample_eval


class Cache:
    """One that has nothing, and says when it is looked into and removed."""

    def __init__(self, seen: list[str], number: int):
        self.seen, self.number = seen, number

    def held(self) -> Any:
        return nullcontext()

    def recorded(self) -> Path | None:
        self.seen.append(f"look {self.number}")
        return None

    def clear(self) -> None:
        self.seen.append(f"clear {self.number}")


@pytest.mark.parametrize(
    ("processes", "first", "expected"),
    [
        (1, True, "draw 0, measure 0, draw 1, measure 1, clear 0, clear 1"),
        (2, True, "draw 0, draw 1, measure 0, measure 1, clear 0, clear 1"),
        (2, False, "draw 0, draw 1"),
    ],
)
def test_points_are_measured_when_no_process_waits(
    processes: int, first: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    asked = [SimpleNamespace(steps=number) for number in range(2)]
    points: Any = [SimpleNamespace(sampling=sampling) for sampling in asked]

    def generated(context: Any, point: Any, cache: Cache) -> str:
        seen.append(f"draw {cache.number}")
        return "texts"

    def evaluate(context: Any, point: Any, cache: Cache, texts: str) -> dict[str, Any]:
        seen.append(f"measure {cache.number}")
        return {"metrics": {}, "value": 1.0, "stderr": 0.1}

    def cache_of(context: Any, point: Any, alone: bool) -> Cache:
        return Cache(seen, point.sampling.steps)

    for function in (generated, evaluate, cache_of):
        monkeypatch.setattr(sample_eval, function.__name__, function)
    monkeypatch.setattr(sample_eval, "show_sweep", lambda context, rows: None)
    trainer = SimpleNamespace(is_global_zero=first, world_size=processes)
    sample_eval.evaluate_points(SimpleNamespace(trainer=trainer), ["steps"], points)  # type: ignore[arg-type]
    assert ", ".join(seen) == f"look 0, look 1, {expected}"
