"""The last layer of a network, which turns hidden states into outputs."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Affine(NamedTuple):
    """rows (n, D) to outputs (n, V)."""

    weight: Tensor
    bias: Tensor

    @property
    def out_features(self) -> int:
        return len(self.weight)

    def __call__(self, rows: Tensor) -> Tensor:
        return F.linear(rows, self.weight, self.bias)


class Head(nn.Linear):
    """A linear layer whose parameters are used within calls of the module alone, so that a strategy
    that shards them can gather them around a call.

    In training its products are in `products`, None for the type that autocast sets."""

    products: torch.dtype | None = None

    def forward(
        self, hidden: Tensor, use: Callable[[Affine, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Outputs (..., V) of hidden states (..., D), or use(the layer, hidden)."""
        affine = Affine(self.weight, self.bias)
        return affine(hidden) if use is None else use(affine, hidden)
