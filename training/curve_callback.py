"""Writes the learning curve of a run while it trains."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from storage import write_atomic
from training.curve import Point, as_csv, read_curve


class Curve(L.Callback):
    """Adds a point after every validation; a run that goes on from step n drops those beyond n."""

    def __init__(self, file: Path, tokens_per_step: int, seconds: Callable[[], float]):
        self.file = file
        self.tokens_per_step = tokens_per_step
        self.seconds = seconds
        self.points: list[Point] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.points = [
            point for point in read_curve(self.file) if point.step <= trainer.global_step
        ]
        if self.file.exists():
            self._write(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        step, metrics = trainer.global_step, trainer.callback_metrics
        nats, error = float(metrics["val/nll"]), float(metrics["val/nll_stderr"])
        seconds = round(self.seconds(), 3)
        # A start that was killed may have left a point of this step.
        self.points = [point for point in self.points if point.step != step]
        self.points.append(Point(step, step * self.tokens_per_step, seconds, nats, error))
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        write_atomic(self.file, as_csv(self.points))
