"""Classifier-free guidance by a prompt, without a network trained for it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion.process import Process


class Guidance(NamedTuple):
    """Logits of p move by `weight` times their distance from those without the `prompt` (B, L)."""

    weight: float
    prompt: Tensor

    def hidden(
        self,
        network: Callable[[Tensor, Tensor], Tensor],
        process: Process,
        z: Tensor,
        t: Tensor,
        rows: Tensor | None,
    ) -> Tensor:
        """Hidden states (b, L, D) of the texts `rows` of the batch, whose prompt pure noise
        replaces in the second look. The head is linear, so that what holds of logits can be done to
        hidden states."""
        prompt = self.prompt if rows is None else self.prompt[rows]
        noise = process.prior((z.shape[0], z.shape[1]), z.device)
        blank = torch.where(prompt, noise, z)
        guided, free = network(torch.cat([z, blank]), torch.cat([t, t])).chunk(2)
        return guided + self.weight * (guided - free)
