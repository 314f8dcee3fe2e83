"""The learning curve and the clock of a run, through Lightning's own loop."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from training import clock as clock_module
from training.clock import Clock, trained_seconds
from training.curve import Point, as_csv, read_curve
from training.curve_callback import Curve

# Advice of Lightning's, about speed and about a loader that starts anew.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable"),
]


class Time:
    """A clock that somebody else winds."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Line(L.LightningModule):
    """A step takes a second, a validation a hundred."""

    def __init__(self, time: Time):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.time = time

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.time.now += 1
        return (self.weight * batch).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.time.now += 100
        self.log("val/nll", self.weight.detach().square().mean())
        self.log("val/nll_stderr", 0.01 * self.weight.detach().square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock_module, "time", made)
    return made


def fit(
    folder: Path, time: Time, steps: int, limit: float | None = None, **more: Any
) -> tuple[L.Trainer, Clock]:
    clock = Clock(limit)
    trainer = L.Trainer(
        max_steps=steps,
        max_epochs=-1,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        limit_val_batches=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock, Curve(folder / "curve.csv", 10, clock.seconds)],
    )
    data = DataLoader(torch.ones(1000, 1), num_workers=0)
    trainer.fit(Line(time), data, data, weights_only=True, **more)
    return trainer, clock


def test_a_curve_has_every_validation_with_its_tokens_and_training_seconds(
    tmp_path: Path, time: Time
) -> None:
    fit(tmp_path, time, steps=6)
    points = read_curve(tmp_path / "curve.csv")
    assert [one[:3] for one in points] == [(2, 20, 2.0), (4, 40, 4.0), (6, 60, 6.0)]
    expected = [0.98 ** (2 * n) for n in (2, 4, 6)]  # of the weight, 1 - 2 lr at every step
    assert [one.nats_per_token for one in points] == pytest.approx(expected, rel=1e-5)
    first = (tmp_path / "curve.csv").read_text().splitlines()[0]
    assert first == "step,tokens,seconds,nats_per_token,nats_stderr"
    assert [one.nats_stderr for one in points] == pytest.approx([0.01 * n for n in expected])


def test_a_run_that_goes_on_drops_what_the_kill_took_back(tmp_path: Path, time: Time) -> None:
    trainer, _ = fit(tmp_path, time, steps=5)
    trainer.save_checkpoint(tmp_path / "last.ckpt")  # after step 5, validated at 2 and 4
    kept = read_curve(tmp_path / "curve.csv")
    lost = Point(6, 60, 77.0, 9.0, 0.5)
    (tmp_path / "curve.csv").write_text(as_csv([*kept, lost]))
    time.now += 1000  # nobody trained meanwhile
    fit(tmp_path, time, steps=8, ckpt_path=tmp_path / "last.ckpt")
    points = read_curve(tmp_path / "curve.csv")
    assert points[:2] == kept
    assert [one[:3] for one in points[2:]] == [(6, 60, 6.0), (8, 80, 8.0)]


def test_a_limit_of_seconds_ends_a_run_validated_and_counted(tmp_path: Path, time: Time) -> None:
    trainer, clock = fit(tmp_path, time, steps=-1, limit=4.5)
    assert trainer.global_step == 5
    assert clock.seconds() == 5.0
    assert read_curve(tmp_path / "curve.csv")[-1].step == 5
    checkpoint: dict[str, Any] = {}
    clock.on_save_checkpoint(trainer, trainer.lightning_module, checkpoint)
    assert trained_seconds(checkpoint) == 5.0
    assert trained_seconds({}) is None


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^training.max_seconds=0: must be positive"):
        Clock(0)
    file = tmp_path / "curve.csv"
    for content in ("", "a,b\n", "step,tokens,seconds,nats_per_token,nats_stderr\n1,2\n"):
        file.write_text(content)
        with pytest.raises(ValueError, match=r"curve\.csv: no learning curve"):
            read_curve(file)
