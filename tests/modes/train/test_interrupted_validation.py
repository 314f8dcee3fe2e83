"""Runs that are killed around a validation come out as if they had not been."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluation.validation import Validation
from tests.composed import start
from tests.modes.test_runs import losses, state
from training.checkpoint import AtomicCheckpointIO
from training.saving import Checkpoints


class Killed(BaseException):
    """Stands for a kill: nothing catches it, nothing is saved on its account."""


def run(arguments: list[str], folder: Path, *more: str) -> Path:
    given = [*arguments, "algo=ar", f"checkpointing.save_dir={folder}", *more]
    start(*given)
    return folder


# A learning rate at which the loss rises after the first validation: that one is the best.
STEPS = ["trainer.max_steps=8", "checkpointing.every_n_steps=4", "optim.lr=12", "training.ema=0"]


def at(moment: int) -> Any:
    """Raises Killed at the `moment`-th call."""
    calls = iter(range(1, 100))

    def hook(*_: Any, **__: Any) -> None:
        if next(calls) == moment:
            raise Killed

    return hook


def before(hook: Any, method: Any) -> Any:
    def replaced(*arguments: Any, **keywords: Any) -> Any:
        hook()
        return method(*arguments, **keywords)

    return replaced


def points(folder: Path) -> list[list[str]]:
    """Of the learning curve, without its seconds."""
    with (folder / "curve.csv").open() as stream:
        return [[*row[:2], row[3]] for row in csv.reader(stream)]


def best(folder: Path) -> dict:
    return torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)


def assert_same(one: Path, other: Path) -> None:
    for kind in (state, best):
        for name, tensor in kind(one)["state_dict"].items():
            assert torch.equal(tensor, kind(other)["state_dict"][name]), name
        assert kind(one)["global_step"] == kind(other)["global_step"]
    assert points(one) == points(other)
    assert losses(one) == losses(other)
    assert losses(one, "val/nll") == losses(other, "val/nll")
    assert {f.name for f in one.iterdir()} == {f.name for f in other.iterdir()}
    assert [f.name for f in (other / "checkpoints").iterdir() if f.name.startswith(".")] == []


MOMENTS = [
    # where, which call of it
    (Validation, "on_validation_batch_end", 1),  # in the first validation: step 4 is saved
    (Validation, "on_validation_batch_end", 3),  # in the last one: all steps are done
    (AtomicCheckpointIO, "save_checkpoint", 2),  # best.ckpt is not written yet
    (AtomicCheckpointIO, "save_checkpoint", 3),  # best.ckpt is, but last.ckpt does not know it
    (AtomicCheckpointIO, "save_checkpoint", 5),  # the last save
    (Checkpoints, "on_train_end", 1),
]


@pytest.mark.parametrize(("where", "name", "moment"), MOMENTS)
def test_validation_is_not_lost_by_a_kill(
    where: type,
    name: str,
    moment: int,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = run(arguments, tmp_path / "whole", *STEPS)
    assert best(whole)["global_step"] == 4 and len(points(whole)) == 3
    with monkeypatch.context() as patch:
        patch.setattr(where, name, before(at(moment), getattr(where, name)))
        with pytest.raises(Killed):
            run(arguments, tmp_path / "killed", *STEPS)
    killed = run(arguments, tmp_path / "killed", *STEPS)
    assert_same(whole, killed)
    again = json.loads((killed / "config.json").read_text())
    assert again["trainer"]["max_steps"] == 8


def test_validation_with_another_number_of_passes_is_at_the_same_steps(
    arguments: list[str], tmp_path: Path
) -> None:
    """A run that goes on with another gradient accumulation."""
    more = ["trainer.val_check_interval=3", "checkpointing.every_n_steps=1"]
    run(arguments, tmp_path / "run", "trainer.max_steps=4", *more)
    run(arguments, tmp_path / "run", "trainer.max_steps=10", "loader.batch_size=1", *more)
    assert [row[0] for row in points(tmp_path / "run")] == ["step", "3", "6", "9"]
    assert sorted(losses(tmp_path / "run")) == list(range(10))
