"""A step is a function of its global batch: how that is split over processes and passes, and how
its texts are padded, plays no part in loss and gradient, with noise and dropout."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.algos.configured import NAMES
from tests.algos.split_steps import GLOBAL, PACKINGS, examples, main, train, trainable
from tests.modes.forked import run_together

# Of Lightning, of data that come without validation and without a number of workers.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
STEPS = 10
cases = pytest.mark.parametrize(("name", "packing"), [(n, p) for n in NAMES for p in PACKINGS])


def distance(one: Tensor, other: Tensor) -> float:
    """Relative, in the Euclidean norm."""
    return float((one.double() - other.double()).norm() / one.double().norm())


def _rank(file: Path, packings: Sequence[str]) -> None:
    torch.set_num_threads(1)
    main(file, STEPS, list(packings))


def split(world: int, packings: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All algorithms, trained by so many processes."""
    file = tmp_path_factory.mktemp("split") / "found.pt"
    run_together(_rank, world, file, packings)
    return torch.load(file, weights_only=True)


@pytest.fixture(scope="module")
def whole() -> dict[tuple[str, str], dict[str, Any]]:
    return {}


def alone(whole: dict, name: str, packing: str) -> dict[str, Any]:
    """By one process in one pass."""
    if (name, packing) not in whole:
        whole[name, packing] = train(name, packing, GLOBAL, steps=STEPS)
    return whole[name, packing]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return functools.cache(lambda packing: split(2, [packing], tmp_path_factory))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return split(4, ["pad"], tmp_path_factory)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packing", ["pad", pytest.param("wrap", marks=pytest.mark.slow)])
def test_two_processes_are_one(name: str, packing: str, two: Any, whole: dict) -> None:
    compare(alone(whole, name, packing), two(packing)[name, packing])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_four_processes_are_one(name: str, four: dict, whole: dict) -> None:
    compare(alone(whole, name, "pad"), four[name, "pad"])


@cases
def test_several_passes_are_one(name: str, packing: str, whole: dict) -> None:
    one, other = alone(whole, name, packing), train(name, packing, 2, steps=STEPS)
    compare(one, other)


def compare(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert distance(one["gradient"], other["gradient"]) < 1e-6
    assert other["losses"][0] == pytest.approx(one["losses"][0], rel=1e-6)
    assert len(one["losses"]) == STEPS
    assert other["losses"] == pytest.approx(one["losses"], rel=1e-5)
    assert distance(one["weights"], other["weights"]) < 1e-5


@cases
def test_the_gradient_is_that_of_the_mean_over_scored_tokens(
    name: str, packing: str, whole: dict
) -> None:
    """Without a Trainer: one backward pass of the sum over their number, clipped to norm one."""
    algorithm, batch = trainable(name).train(), examples(list(range(GLOBAL)), packing)
    loss = algorithm.objective(batch).sum() / algorithm.scored(batch).sum()
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in algorithm.parameters() if p.grad is not None])
    gradient = gradient / max(1.0, float(gradient.norm()))
    one = alone(whole, name, packing)
    assert one["losses"][0] == pytest.approx(float(loss), rel=1e-6)
    assert distance(gradient, one["gradient"]) < 2e-6
