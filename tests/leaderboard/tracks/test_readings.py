"""Readings of learning curves, held against curves whose crossing is known."""

import math
from random import Random

import pytest

from evaluation.record_files import Curve
from leaderboard.tracks.readings import loss_at, lowest, overtaken, reached


def curve(losses: list[float], error: float = 0.0) -> Curve:
    steps = [float(n) for n in range(1, len(losses) + 1)]
    tokens = [100 * step for step in steps]
    return Curve(steps, tokens, [2 * step for step in steps], losses, [error] * len(losses))


def test_reached_interpolates_between_validations() -> None:
    found = reached(curve([4.0, 3.0, 2.0], 0.1), 2.25)
    assert found is not None
    assert found.tokens == pytest.approx(275) and found.seconds == pytest.approx(5.5)
    assert found.tokens_stderr == pytest.approx(0.1 * 100)  # nats over nats per token
    assert found.seconds_stderr == pytest.approx(0.1 * 2)


def test_reached_is_the_first_time_and_exact_on_a_point() -> None:
    found = reached(curve([4.0, 2.0, 3.0, 1.0]), 2.0)
    assert found is not None and found.tokens == 200


def test_reached_is_none_where_it_is_not_seen() -> None:
    assert reached(curve([4.0, 3.0]), 2.0) is None
    assert reached(curve([2.0, 1.0]), 3.0) is None  # before the first point
    assert reached(curve([]), 3.0) is None


def test_reached_has_the_error_that_noise_makes() -> None:
    """Of curves whose points are all off by one draw, as those on one text are."""
    random, error = Random(1), 0.05
    truth = [4 - 0.5 * n for n in range(6)]
    found = []
    for _ in range(4000):
        off = random.gauss(0, error)
        crossing = reached(curve([loss + off for loss in truth], error), 2.2)
        assert crossing is not None
        found.append(crossing)
    mean = sum(one.tokens for one in found) / len(found)
    spread = math.sqrt(sum((one.tokens - mean) ** 2 for one in found) / len(found))
    assert spread == pytest.approx(found[0].tokens_stderr, rel=0.05)


def test_loss_at_is_read_between_points_and_not_beyond_them() -> None:
    read = loss_at(curve([4.0, 3.0, 2.0], 0.1), 150)
    assert read == pytest.approx((3.5, 0.1))
    assert loss_at(curve([4.0, 3.0]), 100) == (4.0, 0.0)
    assert loss_at(curve([4.0, 3.0]), 200) == (3.0, 0.0)
    assert loss_at(curve([4.0, 3.0]), 99) is None and loss_at(curve([4.0, 3.0]), 201) is None


def test_lowest_is_the_first_of_the_lowest_points() -> None:
    assert lowest(curve([3.0, 2.0, 2.0, 4.0], 0.1)) == (200, (2.0, 0.1))


def test_overtaken_counts_from_the_last_crossing() -> None:
    ar = curve([3.0, 2.0, 2.0, 3.0, 4.0])
    assert overtaken(curve([4.0, 3.0, 3.0, 3.5, 3.5]), ar) == pytest.approx(450)
    assert overtaken(curve([2.5, 3.0, 3.0, 2.5, 2.5]), ar) == pytest.approx(300 + 100 * 2 / 3)
    assert overtaken(curve([2.0] * 5), curve([3.0] * 5)) == 100
    assert overtaken(curve([4.0] * 5), ar) is None  # level at the end
    assert overtaken(curve([1.0, 1.0, 1.0, 1.0, 5.0]), ar) is None
