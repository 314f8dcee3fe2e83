"""kill -9 of a training in parts, while it trains and while a checkpoint is being written: the last
good one is intact, and 1, 2 and 4 processes go on from it as if nothing had happened."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algos.base import Algorithm
from tests.training.world import SMALL, logged, run, run_until_killed
from training import shard_writer
from training.checkpoint import read_checkpoint

SHARDED = ["strategy=fsdp", "trainer.max_steps=4"]
RUNS: dict[str, list[str]] = {
    "ar": ["algo=ar"],
    "mdlm": ["algo=mdlm", "model.dropout=0.1", "loader.batch_size=2"],
    "gidd": ["algo=gidd"],
    # What the distillation begins with; its curriculum ends after what a kill leaves.
    "duo": ["algo=duo", "algo.curriculum_steps=3"],
    # Its student begins as its teacher: with a small eps Adam makes steps of rounding.
    "duo_distill": ["algo=duo_distill", "algo.rounds=2", "algo.teacher=averaged", "optim.eps=1e-3"],
}
STEP = 4  # the last one: what it should have saved is lost, and step 2 is the last good one


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_step(rank: int) -> None:
    """The second process, in a pass of the last step."""
    plain = Algorithm.training_step

    def step(self: Algorithm, *arguments: Any) -> Any:
        if rank == 1 and self.global_step == STEP - 1:
            die()
        return plain(self, *arguments)

    Algorithm.training_step = step  # type: ignore[method-assign]


def in_a_part(rank: int) -> None:
    """The second process, with half of its file written."""
    plain = shard_writer.save_tensors

    def save(file: Path, *arguments: Any) -> None:
        plain(file, *arguments)
        if rank == 1 and saved() == STEP:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            die()

    shard_writer.save_tensors = save
    saved = of_checkpoint()


def before_the_index(rank: int) -> None:
    """The first process, with the new folder whole, and last.ckpt not yet replaced."""
    plain = shard_writer.write_atomic

    def write(path: Path, content: str) -> None:
        if path.name == "last.ckpt" and saved() == STEP:
            die()
        plain(path, content)

    shard_writer.write_atomic = write
    saved = of_checkpoint()


def of_checkpoint() -> Callable[[], int]:
    """The step of the checkpoint that is being written."""
    steps = [0]
    plain = shard_writer.ShardWriter.__init__

    def init(self: Any, file: Path, mark: str, content: Any) -> None:
        steps.append(content["global_step"])
        plain(self, file, mark, content)

    shard_writer.ShardWriter.__init__ = init  # type: ignore[method-assign]
    return lambda: steps[-1]


DEATHS: dict[str, tuple[str, Callable[[int], None]]] = {
    "ar in a step": ("ar", in_a_step),
    "ar in a part": ("ar", in_a_part),
    "ar before the index": ("ar", before_the_index),
    "mdlm": ("mdlm", before_the_index),
    "gidd": ("gidd", in_a_part),
    "duo": ("duo", in_a_step),
    "duo_distill": ("duo_distill", in_a_part),
    "duo_distill in a step": ("duo_distill", in_a_step),
}
AGAIN = {  # the deaths after which so many processes go on
    "ar": {
        2: ["ar in a step", "ar in a part", "ar before the index"],
        1: ["ar in a part"],
        4: ["ar in a part"],
    },
    "others": {2: ["mdlm", "gidd"]},
    "duo": {
        2: ["duo", "duo_distill", "duo_distill in a step"],
        1: ["duo", "duo_distill in a step"],
    },
}


def command(name: str, folder: Path, start: Path, *more: str) -> list[str]:
    given = [*SMALL, "trainer.max_steps=4", *RUNS[name], f"checkpointing.save_dir={folder}", *more]
    if name == "duo_distill":
        given.append(f"training.finetune_path={start}")
    return given


def train_until_killed(deaths: list[str], folder: Path, whole: Path) -> None:
    """Runs of two processes; step 2 is the last that they saved whole."""
    for death in deaths:
        name, before = DEATHS[death]
        devices = [*SHARDED, "trainer.devices=2"]
        given = command(name, folder / death, whole / "duo", *devices)
        run_until_killed(given, 2, before)
        assert read_checkpoint(folder / death, resumes=True)["global_step"] == 2, death
        assert logged(folder / death, "train/loss").keys() <= {0, 1, 2, 3}


def go_on(again: dict[int, list[str]], folder: Path, killed: Path, whole: Path) -> None:
    """Copies of them, by the number of processes that go on with it."""
    for processes, deaths in again.items():
        commands = []
        for death in deaths:
            copy = folder / str(processes) / death
            shutil.copytree(killed / death, copy)
            more = [*SHARDED, f"trainer.devices={processes}"]
            if processes == 1 and death.startswith("ar"):
                more = []  # without parts again
            commands.append(command(DEATHS[death][0], copy, whole / "duo", *more))
        run(commands, processes)


# One test, not one for each death: under several workers each would train all of them.
@pytest.mark.timeout(900)  # on a busy machine
@pytest.mark.parametrize(
    "group", [pytest.param(group, marks=[pytest.mark.slow] * (group != "ar")) for group in AGAIN]
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(group: str, tmp_path: Path) -> None:
    whole, killed, resumed = (tmp_path / name for name in ("whole", "killed", "resumed"))
    names = dict.fromkeys(DEATHS[death][0] for death in AGAIN[group][2])
    run([command(name, whole / name, whole / "duo") for name in names])
    train_until_killed(AGAIN[group][2], killed, whole)
    go_on(AGAIN[group], resumed, killed, whole)
    for processes, deaths in AGAIN[group].items():
        for death in deaths:
            folder, expected = resumed / str(processes) / death, whole / DEATHS[death][0]
            for key in ("train/loss", "train/grad_norm", "val/nll"):
                values = logged(expected, key)
                found = logged(folder, key)
                assert values and found == pytest.approx(values, rel=2e-5, abs=1e-7), death
            assert read_checkpoint(folder, resumes=True)["global_step"] == 4
            left = {path.name for path in (folder / "checkpoints").iterdir()}
            assert not [name for name in left if name.startswith(".")]  # of what was being written
