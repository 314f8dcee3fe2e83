"""The overview of a benchmark: how much is done, how long it will take, what it writes."""

import pytest

from modes.benchmark.progress import Overview

STAGES = ["train", "ppl_eval", "sample_eval"]


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_overview_weighs_rows_alike_and_stages_by_their_durations() -> None:
    time = Time()
    overview = Overview(2, terminal=False, clock=time)
    assert overview.seconds_left() is None
    overview.begin("ar, seed 1", STAGES)
    assert overview.done() == 0
    overview.enter("train")
    overview.advance(0.5)
    assert overview.done() == pytest.approx(0.5 * 4 / 7)  # nothing is measured yet
    for stage, seconds in (("ppl_eval", 60), ("sample_eval", 30)):
        time.now += seconds
        overview.enter(stage)
    time.now += 10
    overview.end("ar, seed 1: done")
    assert overview.done() == 1
    assert overview.seconds_left() == pytest.approx(100)
    overview.begin("mdlm, seed 1", STAGES)
    overview.enter("train")
    overview.advance(0.5)
    overview.advance(0.1)  # a bar that begins again does not take anything back
    assert overview.done() == pytest.approx(1 + 0.5 * 0.6)
    time.now += 60
    overview.enter("ppl_eval")
    assert overview.done() == pytest.approx(1.6)
    time.now += 30
    overview.enter("sample_eval")
    assert overview.done() == pytest.approx(1.9)


def test_overview_counts_unfinished_stages_only() -> None:
    overview = Overview(1, terminal=False, clock=Time())
    overview.begin("ar, seed 1", ["sample_eval"])
    overview.enter("sample_eval")
    overview.advance(0.25)
    assert overview.done() == 0.25


def test_overview_in_a_log_is_a_line_for_each_stage(capfd: pytest.CaptureFixture[str]) -> None:
    time = Time()
    overview = Overview(2, terminal=False, clock=time)
    overview.begin("ar, seed 1", STAGES)
    overview.enter("train")
    for part in range(100):
        overview.advance(part / 100)
    time.now = 120
    overview.enter("ppl_eval")
    overview.end("ar, seed 1: done, 120 s")
    overview.close()
    assert capfd.readouterr().err.splitlines() == [
        "row 1 of 2, ar, seed 1: train",
        "row 1 of 2, ar, seed 1: ppl_eval; about 5 min left",
        "ar, seed 1: done, 120 s",
    ]


def test_overview_on_a_terminal_is_one_bar(capfd: pytest.CaptureFixture[str]) -> None:
    overview = Overview(2, terminal=True, clock=Time())
    overview.begin("ar, seed 1", STAGES)
    overview.enter("train")
    overview.end("ar, seed 1: done")
    overview.close()
    shown = capfd.readouterr().err
    assert "row 1 of 2, ar, seed 1: train" in shown
    assert "1 of 2 rows" in shown and " 50%" in shown
    assert "ar, seed 1: done\n" in shown
