"""The tables of a track over made-up entries: what is first, how soon, and after which epoch."""

import math
from pathlib import Path
from typing import Any

import pytest

from evaluation.records import read_records
from leaderboard.aggregate import Runs
from leaderboard.charts import figures
from leaderboard.charts.ladders import times
from leaderboard.format import measured_amount
from leaderboard.links import Links
from leaderboard.table import Measure, Table
from leaderboard.tables import build
from leaderboard.tracks.tables import of_track
from tests.leaderboard.tracks.example_entries import (
    PER_STEP,
    STEPS,
    composed,
    falling,
    seeds,
    write,
)

ONE, EPOCHS = "shakespeare-1M", "shakespeare-epochs"


def made(folder: Path, track: str) -> dict[str, Table]:
    """The tables by kind."""
    records, problems = read_records(folder)
    assert problems == []
    rules, runs = composed(f"track={track}")["track"], Runs({})
    tables = of_track(build.compare(records), records, runs, rules)
    return {table.kind: table for table in tables}


def cells(table: Table, name: str) -> dict[str, str]:
    line = next(line for line in table.cells() if line[0] == name)
    return dict(zip(table.headers(), line, strict=True))


def test_time_to_target_is_where_the_line_crosses_it(tmp_path: Path) -> None:
    """Curves that fall by a straight line from 4 at step 0 to `last` at the last one."""
    seeds(tmp_path, ONE, "ar", 2.0)
    seeds(tmp_path, ONE, "mdlm", 2.5)
    seeds(tmp_path, ONE, "gidd", 2.705)  # one of whose seeds reaches 2.7
    table = made(tmp_path, ONE)["target"]
    assert [row.name for row in table.rows] == ["ar", "mdlm", "gidd"]
    for row, lasts in zip(table.rows, ([1.99, 2.0, 2.01], [2.49, 2.5, 2.51]), strict=False):
        tokens = [PER_STEP * STEPS * 1.3 / (4 - last) for last in lasts]
        value = row.values["target_tokens"]
        assert isinstance(value, Measure)
        assert value.mean == pytest.approx(sum(tokens) / 3, rel=1e-4)
        slopes = [(4 - last) / (STEPS * PER_STEP) for last in lasts]
        stated = math.hypot(*(0.01 / slope for slope in slopes)) / 3
        spread = math.sqrt(sum((t - value.mean) ** 2 for t in tokens) / 2 / 3)
        assert value.stderr == pytest.approx(max(stated, spread), rel=1e-3)
        flops, seconds = row.values["target_flops"], row.values["target_seconds"]
        assert isinstance(flops, Measure) and isinstance(seconds, Measure)
        whole = row.records[0].metrics["train_flops"]
        assert flops.mean == pytest.approx(whole * value.mean / (STEPS * PER_STEP))
        assert seconds.mean == pytest.approx(0.1 * value.mean / PER_STEP, rel=1e-4)
    assert cells(table, "gidd")["reached"] == "1 of 3"
    assert cells(table, "gidd")["tokens to target"] == "" == cells(table, "gidd")["rank"]
    assert table.sentence == (
        "Tokens: The difference is real (unpaired; 3 seeds each). "
        "FLOPs: The difference is real (unpaired; 3 seeds each)."
    )


def test_faster_is_claimed_by_seeds_too(tmp_path: Path) -> None:
    seeds(tmp_path, ONE, "mdlm", 2.5)
    seeds(tmp_path, ONE, "gidd", 2.505)
    assert "Tokens: The difference is not real" in made(tmp_path, ONE)["target"].sentence


@pytest.mark.parametrize(("gap", "said"), [(0.3, "First place: mdlm"), (0.01, "First place is op")])
def test_first_place_needs_p_below_a_hundredth_over_seeds(
    gap: float, said: str, tmp_path: Path
) -> None:
    """Welch's t of deviations 0.01 over three seeds each: gap / (0.01 sqrt(2 / 3)), 4 degrees."""
    seeds(tmp_path, ONE, "ar", 2.0)
    seeds(tmp_path, ONE, "mdlm", 2.5)
    seeds(tmp_path, ONE, "gidd", 2.5 + gap)
    sentence = made(tmp_path, ONE)["perplexity"].sentence
    assert said in sentence and "before ar" not in sentence
    if gap == 0.01:  # t = 1.2247
        assert "mdlm before gidd has p = 0.29 over seeds, below 0.01 is needed" in sentence


def over(low: float, rise: float, turn: int) -> Any:
    """A curve that falls by a straight line to `low` at step `turn`, then rises by `rise`."""
    return lambda step: low + (4.0 - low) * max(turn - step, 0) / turn + max(step - turn, 0) * rise


def test_epochs_are_read_and_the_last_crossing_found(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        # From 2.5 at step 400 by 1e-3 a step, through 2.9 at step 800; MDLM is at 2.9 from 800 on.
        write(tmp_path, EPOCHS, "ar", seed, 3.7, over(2.5, 1e-3, 400))
        write(tmp_path, EPOCHS, "mdlm", seed, 2.9, over(2.9, 0.0, 800))
    table = made(tmp_path, EPOCHS)["epochs"]
    assert [row.name for row in table.rows] == ["ar", "mdlm"]
    ar, mdlm = cells(table, "ar"), cells(table, "mdlm")
    assert ar["lowest"] == "2.5000 ± 0.0058" and ar["at epoch"] == "16.00"
    assert ar["16 ep."] == "2.500" and ar["64 ep."] == "3.700"
    assert mdlm["32 ep."] == "≤ 2.900" and mdlm["1 ep."] == "≤ 3.966"
    assert ar["below AR from"] == "" and mdlm["below AR from"] == "32.00"
    assert mdlm["FLOPs then"] == "650B"  # half of all
    assert table.sentence == (
        "Really below AR after 64 epochs: mdlm; at the lowest points of all curves: none (3 seeds)."
    )


def test_diffusion_that_never_overtakes_says_so(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write(tmp_path, EPOCHS, "ar", seed, 2.5, over(2.5, 0.0, 400))
        write(tmp_path, EPOCHS, "mdlm", seed, 2.9, over(2.9, 0.0, 800))
    table = made(tmp_path, EPOCHS)["epochs"]
    assert "below AR from" not in table.headers()
    assert "Really below AR after 64 epochs: none; at the lowest" in table.sentence


def test_without_ar_nothing_is_overtaken(tmp_path: Path) -> None:
    seeds(tmp_path, EPOCHS, "mdlm", 2.9)
    assert made(tmp_path, EPOCHS)["epochs"].sentence.startswith("Without a row of AR")


def test_the_chart_has_every_cost_that_is_known(tmp_path: Path) -> None:
    for algo, last in (("ar", 2.0), ("mdlm", 2.5), ("gidd", 3.0)):
        seeds(tmp_path, ONE, algo, last)
    links = Links([], read_records(tmp_path)[0], tmp_path)
    points = times([made(tmp_path, ONE)["target"]], links)
    assert {(point["label"], point["cost"]) for point in points} == {
        (algo, cost) for algo in ("ar", "mdlm") for cost in ("tokens", "FLOPs", "seconds")
    }
    assert [view.choice for view in figures.target(points).views] == ["FLOPs", "seconds", "tokens"]


def test_published_results_of_others_are_behind_the_statistics(tmp_path: Path) -> None:
    seeds(tmp_path, ONE, "mdlm", 2.5)
    records, _ = read_records(tmp_path)
    rules = composed(f"track={ONE}")["track"] | {"published": ["an AR of 3.4 nats"]}
    table, *_ = of_track(build.compare(records), records, Runs({}), rules)
    assert table.detail.endswith("Published: an AR of 3.4 nats.")
    assert "First place: mdlm, the only entry." in table.sentence


def test_an_amount_and_its_error_share_a_unit() -> None:
    assert measured_amount(Measure(412_300.0, 9_100.0)) == "412.3k ± 9.1k"
    assert measured_amount(Measure(1.274e12, None)) == "1.274T"
    assert measured_amount(Measure(12.0, 1.5)) == "12.0 ± 1.5"


def test_a_falling_curve_ends_where_it_should() -> None:
    assert falling(4.0, 2.0, STEPS)(STEPS) == 2.0
