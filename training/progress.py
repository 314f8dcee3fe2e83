"""One bar for a run, one for an evaluation: what is done, how fast, how long it will take."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn
from tqdm import tqdm

SHOWN_EVERY = 10  # steps: reading the loss waits for a GPU


class RunProgress(ProgressBar):
    """Counts optimizer steps up to trainer.max_steps, with the loss and tokens per second over all
    devices."""

    def __init__(self, description: str, tokens_per_step: int):
        super().__init__()
        self.description = description
        self.tokens_per_step = tokens_per_step
        self._hidden = False
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
            dynamic_ncols=True,
            mininterval=0.5,
            disable=self._hidden,
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._open(trainer.max_steps, trainer.global_step, "step")

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        bar = self._bar
        if bar is None or bar.disable or trainer.global_step == bar.n:
            return
        if trainer.global_step % SHOWN_EVERY == 0:
            metrics = trainer.progress_bar_metrics
            shown = {name: float(value) for name, value in metrics.items()}
            speed = (bar.format_dict["rate"] or 0.0) * self.tokens_per_step
            bar.set_postfix({**shown, "tok/s": f"{speed:,.0f}"}, refresh=False)
        bar.update(trainer.global_step - bar.n)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._open(int(sum(trainer.num_val_batches)), 0, "batch")

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.VALIDATING and self._bar is not None:
            self._bar.update()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self.teardown(trainer, pl_module, "")

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
