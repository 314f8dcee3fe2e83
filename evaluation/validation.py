"""Collects what `validation_step` returns in training."""

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torchmetrics import CatMetric, Metric

from evaluation.perplexity import in_order, sequence_rows, stderr_over_sequences


class Validation(L.Callback):
    """Logs nats per token over the validation data, their standard error for new text (NaN for a
    single sequence) and the perplexity."""

    def __init__(self) -> None:
        self.rows: Metric = CatMetric()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Rows of `sequence_rows`, gathered over processes when they are computed; flat, as what a
        # process that saw no batch gathers is. The type comes last: `to` sets it to float32.
        self.rows = CatMetric("disable").to(pl_module.device).set_dtype(torch.float64)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        rows = sequence_rows(outputs["index"], outputs["nats"], outputs["scored"])
        self.rows.update(rows.flatten())

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _, nats, count = in_order(torch.as_tensor(self.rows.compute()).reshape(-1, 3))
        mean = nats.sum() / count.sum()
        error = stderr_over_sequences(nats - mean * count, int(count.sum()))
        stderr = mean.new_tensor(math.nan if error is None else error)
        values = {"val/nll": mean, "val/nll_stderr": stderr, "val/ppl": torch.exp(mean)}
        for name, value in values.items():
            # The same on every process, so that the largest is each to the last bit.
            pl_module.log(name, value.float(), sync_dist=True, reduce_fx="max")
