"""The progress bar of a training or an evaluation: steps, loss, speed, time left."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn
from tqdm import tqdm

from training.clock import Clock

SHOWN_EVERY = 10  # steps: reading the loss waits for a GPU
SHOWN = ("train/loss", "val/nll")  # of what is logged


class RunProgress(ProgressBar):
    """Counts optimizer steps up to trainer.max_steps, or seconds up to the limit of `clock`, with
    the loss and tokens per second over all devices."""

    def __init__(self, description: str, tokens_per_step: int, clock: Clock | None = None):
        super().__init__()
        self.description = description
        self.tokens_per_step = tokens_per_step
        self.clock = clock
        self.calls = 1  # of the network for a batch of an evaluation, at most
        self._hidden = False
        self._first = 0  # step of this start
        self._step = 0  # the last one seen
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Called by Lightning on every process but the first."""
        self._hidden = True

    def _open(self, total: int, initial: int, unit: str) -> None:
        self._bar = tqdm(
            desc=self.description,
            total=total,
            initial=initial,
            unit=unit,
            smoothing=0,  # the mean pace: a validation between two steps slows none that follow
            dynamic_ncols=True,
            disable=self._hidden,
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._first = self._step = trainer.global_step
        limit = None if self.clock is None else self.clock.limit
        unit = "step" if limit is None else "s"
        # A run that lacks its last validation alone has no steps ahead of it.
        total = limit or max(trainer.max_steps, trainer.global_step)
        self._open(round(total), self._reached(trainer), unit)

    def _reached(self, trainer: L.Trainer) -> int:
        """Where the bar stands, in its own unit."""
        if self.clock is None or self.clock.limit is None:
            return trainer.global_step
        return min(int(self.clock.seconds()), round(self.clock.limit))

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        bar = self._bar
        if bar is None or bar.disable or trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if self._step % SHOWN_EVERY == 0:
            metrics = trainer.callback_metrics
            shown = {name: float(metrics[name]) for name in SHOWN if name in metrics}
            steps = self._step - self._first
            speed = steps * self.tokens_per_step / bar.format_dict["elapsed"]
            bar.set_postfix({**shown, "tok/s": f"{speed:,.0f}"}, refresh=False)
        bar.update(self._reached(trainer) - bar.n)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            total = int(sum(trainer.num_val_batches)) * self.calls
            self._open(total, 0, "batch" if self.calls == 1 else "call")

    def called(self) -> None:
        """Counts a call of the network within a batch."""
        if self._bar is not None and (self._bar.n + 1) % self.calls:
            self._bar.update()

    def on_validation_batch_end(
        self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, number: int, *_: Any
    ) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING and self._bar is not None:
            self._bar.update((number + 1) * self.calls - self._bar.n)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self.teardown(trainer, pl_module, "")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
