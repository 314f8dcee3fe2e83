"""Collects what `validation_step` returns in training."""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor

from evaluation.perplexity import in_order, sequence_rows, stderr_over_sequences
from training.agreement import gathered


class Validation(L.Callback):
    """Logs nats per token over the validation data, their standard error for new text (NaN for a
    single sequence) and the perplexity."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []  # of `sequence_rows`, one a batch of this process

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.rows = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.rows.append(sequence_rows(outputs["index"], outputs["nats"], outputs["scored"]))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        own = torch.cat([torch.empty(0, 3, dtype=torch.float64), *(r.cpu() for r in self.rows)])
        _, nats, count = in_order(torch.cat(gathered(own)).to(pl_module.device))
        mean = nats.sum() / count.sum()
        error = stderr_over_sequences(nats - mean * count, int(count.sum()))
        stderr = mean.new_tensor(math.nan if error is None else error)
        pl_module.log("val/nll", mean.float())
        pl_module.log("val/nll_stderr", stderr.float())
        pl_module.log("val/ppl", torch.exp(mean).float())
