"""Processes that train together stop after the same step, which none of them waited to agree on."""

import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed as dist

from algos.base import Algorithm
from tests.modes.forked import server
from tests.training.world import SMALL, logged, run, start, stop, wait
from training.agreement import Agreement
from training.checkpoint import read_checkpoint

CPU = torch.device("cpu")
ASKED = 5


def asking(folder: Path, rank: int) -> None:
    """The second process answers when the first is through with its question, and says yes to the
    third one."""
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    agreement, answers = Agreement(), []
    for number in range(ASKED):
        if rank == 1:
            while not (folder / f"asked-{number}").exists():
                time.sleep(0.01)
        answers.append(agreement.ask(rank == 1 and number == 2, CPU))
        if rank == 0:
            (folder / f"asked-{number}").touch()
    answers += [agreement.look(), agreement.look()]
    (folder / f"answers-{rank}").write_text(json.dumps(answers))
    dist.destroy_process_group()


def test_no_process_waits_for_another_to_be_asked(tmp_path: Path) -> None:
    processes = [server.Process(target=asking, args=(tmp_path, rank)) for rank in range(2)]
    for process in processes:
        process.start()
    wait(lambda: None not in [process.exitcode for process in processes], seconds=100)
    codes = [process.exitcode for process in processes]
    stop(processes)
    assert codes == [0, 0]
    for rank in range(2):
        answers = json.loads((tmp_path / f"answers-{rank}").read_text())
        assert answers == [False, False, False, True, False, False, False]


def test_a_process_alone_knows_at_once() -> None:
    agreement = Agreement()
    assert [agreement.ask(yes, CPU) for yes in (False, True, False)] == [False, True, False]
    assert not agreement.look()


TWO = ["strategy=ddp", "trainer.devices=2"]
# The process that is asked, the signal, the step in which, and the one after which both stop: the
# next, but for a validation, which is due after every second step.
ASKED_TO_STOP = {
    "in the step before a validation": (0, signal.SIGTERM, 2, 2),
    "in the step after one": (1, signal.SIGUSR1, 3, 4),
    "in the last step": (1, signal.SIGTERM, 6, 6),
}


def signalled(asked: tuple[int, int, int], rank: int) -> None:
    """Sends one process a signal within a step."""
    own, number, step = asked
    plain = Algorithm.training_step

    def training_step(self: Algorithm, *arguments: Any) -> Any:
        if rank == own and self.global_step == step - 1:
            os.kill(os.getpid(), number)
        return plain(self, *arguments)

    Algorithm.training_step = training_step  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run([[*SMALL, "algo=mdlm", f"checkpointing.save_dir={folder}", *TWO]], processes=2)
    return folder


@pytest.mark.parametrize(
    "when",
    [pytest.param(when, marks=[pytest.mark.slow] * ("before" in when)) for when in ASKED_TO_STOP],
)
def test_both_stop_after_the_same_step_and_go_on(when: str, whole: Path, tmp_path: Path) -> None:
    own, number, step, last = ASKED_TO_STOP[when]
    line = [*SMALL, "algo=mdlm", f"checkpointing.save_dir={tmp_path}", *TWO]
    started = start([line], 2, 1, partial(signalled, (own, number, step)))
    wait(lambda: None not in [process.exitcode for process in started])
    codes = [process.exitcode for process in started]
    stop(started)
    expected = [128 + (number if rank == own else signal.SIGTERM) for rank in range(2)]
    assert codes == expected
    assert read_checkpoint(tmp_path, resumes=True)["global_step"] == last
    if last < 6:
        run([line], processes=2)
        for key in ("train/loss", "train/grad_norm", "val/nll"):
            assert logged(tmp_path, key) == logged(whole, key)


def test_both_reach_a_limit_of_seconds_after_the_same_step(tmp_path: Path) -> None:
    line = [*SMALL, "algo=mdlm", f"checkpointing.save_dir={tmp_path}", *TWO]
    run([[*line, "training.max_seconds=0.001"]], processes=2)
    assert read_checkpoint(tmp_path, resumes=True)["global_step"] == 2
    assert logged(tmp_path, "train/loss").keys() == {0, 1}
