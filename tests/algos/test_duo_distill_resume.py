"""Distillation under Lightning's Trainer: a run that stops and goes on is the run that did not."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import lightning as L
import pytest
import torch

from algos.base import Batch
from algos.duo_distill import DUODistill
from backbones.dit import DiT
from tests.algos.configured import a_batch
from tests.algos.test_duo_distill import L as LENGTH
from tests.algos.test_duo_distill import N, student
from training.ema import EMA

STEPS, ROUNDS = 7, 3  # which begin at the steps 0, 3 and 5


class Stream:
    """Batches of a training stream from some step on."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self) -> Iterator[Batch]:
        return (a_batch(N, LENGTH, 8, 8 * step) for step in count(self.start))


class Run:
    """A student with dropout and an average, and what trains it; from a checkpoint at `start`."""

    def __init__(self, teacher: str) -> None:
        self.algorithm = student(STEPS, ROUNDS, dropout=0.2, teacher=teacher, grid=4)
        self.ema = EMA(0.8)
        self.algorithm.average = lambda: self.ema.average

    def fit(self, last: int, start: int = 0, checkpoint: Path | None = None) -> L.Trainer:
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=last,
            logger=False,
            callbacks=[self.ema],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(self.algorithm, Stream(start), ckpt_path=checkpoint, weights_only=True)
        return trainer


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.filterwarnings("ignore:.*but have no `val_dataloader`")
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")
@pytest.mark.parametrize("teacher", ["raw", "averaged"])
def test_it_goes_on_bit_for_bit(teacher: str, tmp_path: Path) -> None:
    """Stopped within a round, at the end of one, and within the last."""
    whole = Run(teacher)
    whole.fit(STEPS)
    assert whole.algorithm.training_facts() == {"distillation": {"rounds": 3, "teacher": teacher}}
    for stop in (2, 3, 5, 6):
        part, file = Run(teacher), tmp_path / f"{stop}.ckpt"
        part.fit(stop).save_checkpoint(file)
        rest = Run(teacher)
        trainer = rest.fit(STEPS, stop, file)
        assert trainer.global_step == STEPS
        assert same(whole.algorithm.state_dict(), rest.algorithm.state_dict()), stop
        assert same(whole.ema.average, rest.ema.average), stop
        pair = (run.algorithm.teacher().state_dict() for run in (whole, rest))
        assert same(*pair), stop


def test_a_checkpoint_has_the_round_and_its_teacher(tmp_path: Path) -> None:
    """Readable as plain data, beside the weights and not among them."""
    algorithm = student()
    checkpoint: dict = {}
    algorithm.on_save_checkpoint(checkpoint)
    assert checkpoint["distillation"] == {"round": -1, "teacher": {}}  # not begun
    teacher = algorithm.teacher().state_dict()
    with torch.no_grad():
        for parameter in algorithm.parameters():
            parameter.add_(1)
    algorithm.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "c")
    other: DUODistill = student(seed=2)
    other.on_load_checkpoint(torch.load(tmp_path / "c", weights_only=True))
    assert (
        other.training_facts()
        == algorithm.training_facts()
        == {"distillation": {"rounds": 1, "teacher": "raw"}}
    )
    assert same(other.teacher().state_dict(), teacher)
    assert not any(parameter.requires_grad for parameter in other.teacher().parameters())
    assert not any(module.training for module in other.teacher().modules())


@pytest.mark.parametrize("compiled", [False, True])
def test_a_teacher_is_compiled_where_its_student_is(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DUODistill, "global_step", 0)
    network = DiT(N, 16, LENGTH, n_blocks=2, n_heads=2, cond_dim=8, compile=compiled)
    made = student(backbone=network)

    def all_are(network: DiT) -> bool:
        return all((block._compiled_call_impl is not None) is compiled for block in network.blocks)

    assert all_are(made.backbone) and all_are(made.teacher())
    checkpoint: dict = {}
    made.on_save_checkpoint(checkpoint)
    made.on_load_checkpoint(checkpoint)
    assert all_are(made._teacher[0])
