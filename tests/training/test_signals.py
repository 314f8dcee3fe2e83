"""Signals end a program where it can go on, with a line and 128 + their number."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from training.signals import STOPPING, Stopped, StopSignals, keep_handlers

ROOT = Path(__file__).resolve().parents[2]


def raised(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # a handler runs between two instructions


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_ends_the_block_with_its_status_and_one_line(
    number: int, capsys: pytest.CaptureFixture
) -> None:
    before = [signal.getsignal(one) for one in STOPPING]
    with pytest.raises(Stopped) as error, StopSignals() as signals:
        signals.kept = "3 of 4 passes are kept; the same command goes on"
        raised(number)
    assert error.value.code == 128 + number
    name = signal.Signals(number).name
    said = f"stopped by {name}: 3 of 4 passes are kept; the same command goes on\n"
    assert capsys.readouterr().err == said
    assert [signal.getsignal(one) for one in STOPPING] == before


def test_deferred_it_is_raised_where_the_work_looks() -> None:
    done = []
    with pytest.raises(Stopped) as error, StopSignals() as signals, signals.deferred():
        signals.look()
        raised(signal.SIGTERM)
        done.append("the rest of the step")
        signals.look()
        done.append("another step")
    assert done == ["the rest of the step"]
    assert error.value.code == 143


def test_at_the_end_of_what_is_deferred_it_is_raised_in_any_case() -> None:
    with pytest.raises(Stopped), StopSignals() as signals:
        with signals.deferred():
            raised(signal.SIGINT)
        pytest.fail("went on")


def test_processes_agree() -> None:
    """One that was not asked stops with those that were."""
    with pytest.raises(Stopped) as error, StopSignals() as signals:
        signals.look(lambda own: own)
        signals.look(lambda own: True)
    assert error.value.code == 143


def test_one_line_of_blocks_within_blocks(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(Stopped), StopSignals("outer"), StopSignals("inner"):
        raised(signal.SIGTERM)
    assert capsys.readouterr().err == "stopped by SIGTERM: inner\n"


@pytest.mark.parametrize("rank", ["RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_the_first_of_several_processes_speaks(
    rank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv(rank, "1")
    with pytest.raises(Stopped), StopSignals():
        raised(signal.SIGTERM)
    assert capsys.readouterr().err == ""


def test_the_status_is_that_of_the_signal_where_a_library_ends_the_program() -> None:
    with pytest.raises(Stopped) as error, StopSignals() as signals, signals.deferred():
        raised(signal.SIGTERM)
        raise SystemExit  # as Lightning's SIGTERMException, status 0
    assert error.value.code == 143


def test_an_error_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="own"), StopSignals() as signals, signals.deferred():
        raised(signal.SIGTERM)
        raise ValueError("own")


PROGRAM = """
import time
from training.signals import StopSignals
with StopSignals() as signals, signals.deferred():
    print("begun", flush=True)
    while True:
        time.sleep(0.01)
"""


def test_a_second_signal_ends_at_once_unless_a_wrapper_sent_the_first_twice() -> None:
    line = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


class Endless(L.LightningModule):
    """A module whose steps a signal reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.steps = 0
        self.handler: Any = None

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self._step()

    def predict_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self._step()
        return batch

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self._step()
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def _step(self) -> None:
        self.steps += 1
        self.handler = signal.getsignal(signal.SIGTERM)
        raised(signal.SIGTERM)


@pytest.mark.parametrize("how", ["fit", "validate", "predict"])
@pytest.mark.filterwarnings("ignore")
def test_lightning_does_not_take_the_signals(how: str, tmp_path: Path) -> None:
    """Its own handler lets the first step end, leaves with status 0 after it, or never."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=5,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    keep_handlers(trainer)
    module = Endless()
    with pytest.raises(Stopped) as error, StopSignals() as signals:
        getattr(trainer, how)(module, DataLoader([0.0] * 8))
    assert module.handler.__self__ is signals
    assert error.value.code == 143
    assert module.steps == 1
