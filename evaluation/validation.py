"""Collects what `validation_step` returns, in training and in evaluation."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from evaluation.perplexity import Pass, SequenceNats, stderr_over_sequences


class Validation(L.Callback):
    """One pass over the validation data: the nats of every sequence, in `result` and, in training,
    in the logs."""

    def __init__(self) -> None:
        self.metric = SequenceNats()
        self.result: Pass | None = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.metric = self.metric.to(pl_module.device)
        self.metric.reset()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.metric.update(outputs["index"], outputs["nats"], outputs["scored"])

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.result = self.metric.compute()
        _, nats, count = self.result
        mean = nats.sum() / count.sum()
        pl_module.log("val/nll", mean.float())
        pl_module.log("val/nll_stderr", stderr_over_sequences(nats, count).float())
        pl_module.log("val/ppl", torch.exp(mean).float())
