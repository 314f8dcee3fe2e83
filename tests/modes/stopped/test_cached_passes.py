"""Cost of a kill to a likelihood: the time since batches were cached last."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation import passes
from evaluation.passes import CachedPass, PassEvaluator
from tests.modes.stopped.conftest import OF_RUN, Run, records


def test_a_killed_likelihood_goes_on_with_what_was_kept(
    evaluate: Run, calls: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three batches of three passes, kept after each; killed in the fifth, so nothing is said."""
    evaluate("ppl_eval", "eval.passes=3", results="whole")
    step = PassEvaluator.validation_step
    done = []

    def killed(*arguments: Any) -> None:
        done.append(1)
        if len(done) == 5:
            raise FloatingPointError("killed")
        step(*arguments)

    monkeypatch.setattr(passes, "SAVE_SECONDS", -1.0)
    monkeypatch.setattr(PassEvaluator, "validation_step", killed)
    with pytest.raises(FloatingPointError):
        evaluate("ppl_eval", "eval.passes=3")
    monkeypatch.undo()
    nll = calls(OF_RUN, "nll")
    evaluate("ppl_eval", "eval.passes=3")
    assert nll.calls == 9 - 4
    (whole,), (resumed,) = records(tmp_path / "whole"), records(tmp_path / "results")
    assert resumed["value"] == whole["value"]


@pytest.mark.parametrize("lengths", [[], [2], [3, 1]])
def test_a_pass_is_read_as_it_was_written(lengths: list[int]) -> None:
    rows = [np.random.default_rng(0).random((count, 4)) for count in lengths]
    for whole in (True, False):
        kept = CachedPass("pass-0-0.npz", rows, whole)
        read = CachedPass.of(kept.name, kept.content())
        assert read.whole == whole and len(read.rows) == len(rows)
        assert all(np.array_equal(*pair) for pair in zip(read.rows, rows, strict=True))
