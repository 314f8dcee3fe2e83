"""The exponential moving average of the weights, owned by a callback so that no algorithm knows of
it."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from schema.check import check_values
from training.settings import Training


class EMA(L.Callback):
    """average <- d average + (1 - d) weights after every optimizer step, d = min(decay, (1 + n) /
    (10 + n)).

    n counts the updates with this one, as in the papers' code: d = 2/11, 3/12, ... Validation sees
    the average; the checkpoint has both."""

    def __init__(self, decay: float):
        check_values(Training, "training", ema=decay)
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {}
        self._exchanged = False  # whether the module has the average now

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for name, parameter in pl_module.named_parameters():
            start = self.average.get(name, parameter.detach())
            self.average[name] = start.to(parameter.device, copy=True)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step == self.updates:  # still accumulating gradients
            return
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = [parameter.detach() for parameter in pl_module.parameters()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    @torch.no_grad()
    def _exchange(self, pl_module: L.LightningModule) -> None:
        """Copies, since a sharded parameter keeps its storage whatever `data` is set to. Gathered
        parameters of the last forward pass are given up: they would hide the other weights."""
        for module in pl_module.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        for name, parameter in pl_module.named_parameters():
            before = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(before)
        self._exchanged = not self._exchanged

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._exchange(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._exchange(pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        average = dict(self.average)
        if self._exchanged:  # saved within a validation
            weights = checkpoint["state_dict"]
            raw, average = average, {name: weights[name] for name in average}
            checkpoint["state_dict"] = weights | raw
        checkpoint["ema"] = {"updates": self.updates, "weights": average}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if "ema" not in checkpoint:
            raise ValueError(
                "training.ema: the run to resume was trained without averaged weights; set 0"
            )
        self.updates = checkpoint["ema"]["updates"]
        self.average = checkpoint["ema"]["weights"]
