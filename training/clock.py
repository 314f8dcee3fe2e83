"""How long a run has trained, over all its starts; ends it where it has trained long enough."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from schema.check import check_values
from training.agreement import Agreement
from training.settings import Training

SECONDS = "clock_seconds"  # of a checkpoint


class Clock(L.Callback):
    """Counts seconds of training without those of validation; what a kill threw away is not
    counted.

    With a `limit` the run ends after the first step beyond it, of several processes after the next
    one, validated and saved, on all at the same step."""

    def __init__(self, limit: float | None = None):
        check_values(Training, "training", max_seconds=limit)
        self.limit = limit
        self.spent = 0.0
        self.since: float | None = None
        self.step = 0
        self.agreement = Agreement()  # of all processes, on whether one has reached the limit

    def seconds(self) -> float:
        return self.spent + (0.0 if self.since is None else time.monotonic() - self.since)

    def _pause(self) -> None:
        self.spent, self.since = self.seconds(), None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.since, self.step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if self.limit is None or trainer.global_step == self.step:  # or accumulating gradients
            return
        self.step = trainer.global_step
        if self.agreement.ask(self.seconds() >= self.limit, pl_module.device):
            trainer.should_stop = True

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._pause()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.since = time.monotonic()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.agreement.look()  # no process leaves while others still ask it
        self._pause()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[SECONDS] = self.seconds()

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.spent = trained_seconds(checkpoint) or 0.0


def trained_seconds(checkpoint: dict[str, Any]) -> float | None:
    """The seconds of training so far; None of a checkpoint that has none."""
    seconds: float | None = checkpoint.get(SECONDS)
    return seconds
