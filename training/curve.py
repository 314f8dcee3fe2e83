"""The learning curve of a run as curve.csv in its directory: validation loss with its error against
steps, tokens and seconds."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from storage import write_atomic

CURVE = "curve.csv"


class Point(NamedTuple):
    """One validation: optimizer steps, tokens and seconds of training so far, nats per token with
    the standard error that new text of the kind would give them."""

    step: int
    tokens: int
    seconds: float
    nats_per_token: float
    nats_stderr: float


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


def as_csv(points: Sequence[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Point._fields)
    writer.writerows(points)
    return text.getvalue()


def read_curve(file: Path) -> list[Point]:
    """The points of a curve.csv, none where there is no file; ValueError for another file."""
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream)) or [[]]
    try:
        if tuple(header) != Point._fields:
            raise ValueError(f"its first line is not {','.join(Point._fields)}")
        return [Point(int(s), int(t), *map(float, more)) for s, t, *more in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: no learning curve of this suite ({error})") from error
