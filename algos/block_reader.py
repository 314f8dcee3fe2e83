"""Texts of a block model as they come about: finished blocks, and predictions of the next one."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction

if TYPE_CHECKING:
    from algos.bd3lm import BD3LM


class BlockReader:
    """Predicts the next block of a batch of texts from their finished ones.

    `cached` keeps keys and values of what is finished, which is read once; otherwise every look at
    a block reads the text before it again. `positions` counts what the network has read, each
    position of each text once for every time."""

    def __init__(self, algorithm: "BD3LM", warper: LogitsWarper, cached: bool) -> None:
        self.algorithm, self.warper = algorithm, warper
        self.memory = algorithm.backbone.memory() if cached else None
        self.finished: Tensor | None = None  # (B, P)
        self.evaluations = 0  # of texts, to finish blocks
        self.positions = 0

    def __call__(self, z: Tensor, t: Tensor, rows: Tensor | None = None) -> Prediction:
        """Of the next blocks z (b, n) at times t (b,), of these rows (b,) of the batch."""
        if rows is not None and self.finished is not None and len(rows) == len(self.finished):
            rows = None  # in order, so all of them
        read = self._read_again if self.memory is None else self._read
        hidden = read(z, t, rows)
        return self.algorithm.prediction(hidden, self.warper)

    def finish(self, tokens: Tensor) -> None:
        """Tokens (B, m n), whole blocks, stand behind what is finished."""
        before = [] if self.finished is None else [self.finished]
        self.finished = torch.cat([*before, tokens], 1)
        if self.memory is None:
            return
        # as many at once as the window has room for, then block after block
        size, room = self.algorithm.block_size, self.memory.size - self.memory.position
        assert size is not None
        first = min(max(room, size), tokens.shape[1])
        for part in (tokens[:, :first], *tokens[:, first:].split(size, 1)):
            if part.shape[1]:
                self._read(part, torch.zeros(len(part), device=part.device), None)
                self.memory.finish(part.shape[1])
                self.evaluations += len(part)

    def keep(self, rows: Tensor) -> None:
        """Only these texts (b,) of the batch go on."""
        if self.finished is not None:
            self.finished = self.finished[rows]
        if self.memory is not None:
            self.memory.keep(rows)

    def _read(self, z: Tensor, t: Tensor, rows: Tensor | None) -> Tensor:
        """Hidden states (b, n, D) of z (b, n) behind what is remembered."""
        self.positions += z.numel()
        level = self.algorithm.level
        return self.algorithm.backbone(
            z,
            None if level is None else level(t.double()),
            pattern=self.algorithm.pattern(z.shape[1]),
            memory=self.memory,
            rows=rows,
        )

    def _read_again(self, z: Tensor, t: Tensor, rows: Tensor | None) -> Tensor:
        if self.finished is None:
            text, times = z, t.unsqueeze(-1).expand(z.shape)
        else:
            before = self.finished if rows is None else self.finished[rows]
            text = torch.cat([before, z], 1)
            at = t.unsqueeze(-1).expand(z.shape)
            times = torch.cat([torch.zeros(before.shape, dtype=t.dtype, device=t.device), at], 1)
        self.positions += text.numel()
        return self.algorithm.hidden(text, times)[:, -z.shape[1] :]
