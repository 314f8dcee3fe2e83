"""strategy=fsdp over gloo beside one process: the same losses, norms, averages and checkpoints."""

from pathlib import Path

import pytest
import torch

from tests.training.world import SMALL, logged, run
from training.checkpoint import read_checkpoint

SHARDED = ["strategy=fsdp"]
# More than the algorithm's name: dropout, accumulation, checkpointing, both curricula, a teacher.
RUNS: dict[str, list[str]] = {
    "ar": ["algo=ar", "model.activation_checkpointing=true"],
    "mdlm": ["algo=mdlm", "model.dropout=0.1", "loader.batch_size=2"],
    "gidd": ["algo=gidd", "trainer.gradient_clip_val=0.1"],
    "duo": ["algo=duo"],
    "duo_full": ["algo=duo", "algo.curriculum=full"],
    "duo_distill": ["algo=duo_distill", "algo.rounds=3", "algo.teacher=averaged"],
}


def command(name: str, folder: Path, start: Path, *more: str) -> list[str]:
    given = [*SMALL, *RUNS[name], f"checkpointing.save_dir={folder}/{name}", *more]
    if name == "duo_distill":
        given.append(f"training.finetune_path={start}")
    return given


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each by one process."""
    folder = tmp_path_factory.mktemp("one")
    start = folder / "duo"
    run([command(name, folder, start) for name in RUNS])
    return folder


@pytest.fixture(scope="module")
def two(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by two processes that share each parameter."""
    folder = tmp_path_factory.mktemp("two")
    devices = [*SHARDED, "trainer.devices=2"]
    run([command(name, folder, one / "duo", *devices) for name in RUNS], processes=2)
    return folder


def assert_same(one: Path, other: Path) -> None:
    """Losses to 1e-5, weights and averages to 1e-4 of the steps that were taken."""
    for key in ("train/loss", "train/grad_norm", "val/nll"):
        expected = logged(one, key)
        assert expected and logged(other, key) == pytest.approx(expected, rel=2e-5)
    ours, theirs = (read_checkpoint(folder, resumes=True) for folder in (one, other))
    assert ours.keys() == theirs.keys()
    for part in (("state_dict",), ("ema", "weights")):
        weights, others = ours, theirs
        for key in part:
            weights, others = weights[key], others[key]
        torch.testing.assert_close(others, weights, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_as_one(name: str, one: Path, two: Path) -> None:
    assert_same(one / name, two / name)
