"""The points of a sweep."""

import math
from dataclasses import replace
from typing import Any

import pytest

from modes.checks import combinations
from modes.checks.sweep import points
from modes.settings import Settings
from samplers.settings import Sampling


def test_points_are_the_product() -> None:
    made = points(Sampling(sweep={"temperature": [0.8, 1], "top_k": [None, 40]}))
    assert [(one.temperature, one.top_k) for one in made] == [
        (0.8, None),
        (0.8, 40),
        (1, None),
        (1, 40),
    ]
    assert all(one.steps == 128 and one.show == 3 for one in made)


def test_points_without_a_sweep_are_one() -> None:
    assert points(Sampling()) == [Sampling()]
    assert len(points(Sampling(sweep={}))) == 1


def test_points_are_each_held_to_what_a_command_of_its_own_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Sampling] = []
    monkeypatch.setattr(combinations, "check", lambda one, keys: seen.append(one.sampling))
    sweep = {"steps": [1, 2], "temperature": [1, 3]}
    combinations.check_sweep(Settings(sampling=Sampling(sweep=sweep)), ())
    assert seen == [replace(one, sweep=None) for one in points(Sampling(sweep=sweep))]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"show": [1]}, "sampling.sweep.show: choose from coins, draws, entropy_bound, eta, grid"),
        ({"steps": []}, "sampling.sweep.steps=[]: must be a list of at least one value"),
        ({"steps": 3}, "sampling.sweep.steps=3: must be a list"),
        ({"steps": [1.5]}, "1.5 must be of type int"),
        ({"steps": [True]}, "True must be of type int"),
        ({"top_k": ["a"]}, "'a' must be a number"),
        ({"temperature": [math.nan]}, "nan must be a finite number"),
        ({"steps": [4, 8, 4]}, "4 is there twice"),
    ],
)
def test_points_of_a_bad_sweep_are_refused_by_name(sweep: Any, said: str) -> None:
    with pytest.raises(ValueError) as refusal:
        points(Sampling(sweep=sweep))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
