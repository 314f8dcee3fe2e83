"""The callback that owns the checkpoints of a run: their content and their moments."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from schema.check import check_values
from storage import write_atomic
from training.agreement import Agreement
from training.checkpoint import BEST, DIGESTS, LAST, VALIDATION
from training.settings import Checkpointing
from training.signals import StopSignals

CONFIG = "config.json"


class Checkpoints(L.pytorch.callbacks.Checkpoint):
    """Saves the last state every `every_n_steps` optimizer steps and at the end, and the best
    validated one, in `directory`/checkpoints.

    A step is saved after its row is in the logs. Where a validation is due it is saved before and
    after; a run that was killed in between validates first. A signal ends the run with a
    checkpoint: after the current step, of several processes after the next one, or before a
    validation that comes first. `finetuned_from` says where the first weights came from, None for a
    run from nothing; a run that goes on keeps what its checkpoint says. One that is `finished`
    lacks its last validation alone."""

    def __init__(
        self,
        directory: Path,
        every_n_steps: int,
        config: dict[str, Any],
        signals: StopSignals,
        data_digests: Callable[[], dict[str, Any]] = dict,
        finetuned_from: dict[str, Any] | None = None,
        finished: bool = False,
    ):
        check_values(Checkpointing, "checkpointing", every_n_steps=every_n_steps)
        self.directory = directory
        self.every_n_steps = every_n_steps
        self.config = config
        self.signals = signals
        self.data_digests = data_digests
        self.finetuned_from = finetuned_from
        self.finished = finished
        self.step = self.saved = 0
        self.unsettled = self.stop = False  # of the last step: whether to look at it, to end there
        self.agreement = Agreement()  # of all processes, on whether one was asked to stop
        self.due = self.validated = 0
        self.best = float("inf")
        self._training = ExitStack()  # while signals wait for the end of a step

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["config"] = self.config
        checkpoint["finetuned_from"] = self.finetuned_from
        checkpoint[DIGESTS] = self.data_digests()
        checkpoint[VALIDATION] = {"due": self.due, "done": self.validated}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.finetuned_from = checkpoint["finetuned_from"]
        self.due, self.validated = (checkpoint[VALIDATION][key] for key in ("due", "done"))
        checkpoint["loops"]["fit_loop"] |= between_steps(
            checkpoint["global_step"], trainer.accumulate_grad_batches
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.step = self.saved = trainer.global_step
        if trainer.is_global_zero:
            text = json.dumps(self.config, indent=2) + "\n"
            write_atomic(self.directory / CONFIG, text)
        self._training.enter_context(self.signals.deferred())
        if self.due > self.validated:
            validate(trainer)
            trainer.should_stop = self.finished

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step:  # still accumulating gradients
            return
        self.step = trainer.global_step
        self.unsettled = True
        self.stop = self.agreement.ask(self.signals.asked, pl_module.device)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._settle(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self.due = self.step
            self.stop |= self.agreement.look()  # not to be left until after it
            self._settle(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        # Several processes would have to agree, and need not have the same number of batches.
        if trainer.state.fn == TrainerFn.FITTING and trainer.world_size == 1:
            if self.signals.asked:
                self._save_last(trainer)
            self.signals.look()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self.validated = self.step
        value = float(trainer.callback_metrics["val/nll"])
        if value < self.best:
            self.best = value
            self._save(trainer, BEST)
        if self.saved == self.step:  # without what this validation found
            self._save(trainer, LAST)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.stop |= self.agreement.look()
        self._settle(trainer)
        self._save_last(trainer)
        self._training.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._training.__exit__(type(exception), exception, exception.__traceback__)

    def _settle(self, trainer: L.Trainer) -> None:
        """Saves and stops between two steps, once, where either is due."""
        if not self.unsettled:
            return
        self.unsettled = False
        if self.stop or self.step % self.every_n_steps == 0:
            self._save_last(trainer)
        if self.stop:
            self.signals.kept = f"saved after step {self.step}; the same command goes on from there"
            self.signals.look(lambda _: True)

    def _save_last(self, trainer: L.Trainer) -> None:
        if self.saved != self.step:
            self._save(trainer, LAST)
            self.saved = self.step

    def _save(self, trainer: L.Trainer, name: str) -> None:
        weights = [parameter.detach() for parameter in trainer.lightning_module.parameters()]
        if not torch.isfinite(nn.utils.get_total_norm(weights)):
            raise FloatingPointError(
                f"step {self.step}: the weights are not finite and were not saved; the last "
                f"checkpoint is of step {self.saved}; try a lower optim.lr or a larger optim.eps"
            )
        trainer.save_checkpoint(self.directory / "checkpoints" / name)


def owes_validation(checkpoint: dict[str, Any]) -> bool:
    """Whether its run was ended between a save and the validation that was due there."""
    due, done = (checkpoint[VALIDATION][key] for key in ("due", "done"))
    return bool(due > done)


def validate(trainer: L.Trainer) -> None:
    """A validation between two steps, as Lightning's loop has it there."""
    connector = trainer._logger_connector  # there is no public way
    trainer.validating, first = True, connector._first_loop_iter
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training, connector._first_loop_iter = True, first


def between_steps(step: int, passes: int) -> dict[str, Any]:
    """The state of Lightning's loops at the end of optimizer step `step`, with so many passes a
    step: where in its hooks a checkpoint was saved, and how many passes there were then, plays no
    part."""
    batches = step * passes
    seen = {"ready": batches, "started": batches, "processed": batches, "completed": batches - 1}
    none = dict.fromkeys(seen, 0)
    epoch = none | {"ready": 1, "started": 1}
    return {
        "epoch_progress": {"total": epoch, "current": dict(epoch)},
        "epoch_loop.state_dict": {"_batches_that_stepped": step - 1},
        "epoch_loop.batch_progress": {
            "total": seen,
            "current": dict(seen),
            "is_last_batch": False,
        },
        "epoch_loop.val_loop.batch_progress": {
            "total": none,
            "current": dict(none),
            "is_last_batch": False,
        },
    }
