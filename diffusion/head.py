"""The last layer of a network, which turns hidden states into outputs."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_ROWS, FEW_OUTPUTS = 16, 256
# Rows of many outputs begin at multiples of so many numbers: BLAS is slow at odd addresses.
ALIGNED, MANY_OUTPUTS = 64, 4096


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

    In training its products are in `products`, None for the type that autocast sets, and the losses
    behind them are computed by `kernels` of Triton where they have some."""

    products: torch.dtype | None = None
    kernels = False

    def forward(
        self, hidden: Tensor, use: Callable[[Affine, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Outputs (..., V) of hidden states (..., D), or use(the layer, hidden)."""
        affine = Affine(self.weight, self.bias)
        return affine(hidden) if use is None else use(affine, hidden)


def padded(outputs: int) -> int:
    """The numbers from one row of so many outputs to the next."""
    return outputs if outputs < MANY_OUTPUTS else -(-outputs // ALIGNED) * ALIGNED


def widened(parameter: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
    """A weight or bias in `dtype`, with zeros for further outputs."""
    wide = parameter.new_zeros(outputs, *parameter.shape[1:], dtype=dtype)
    wide[: len(parameter)] = parameter
    return wide


def outputs_of(head: nn.Linear | Affine, rows: Tensor, buffer: Tensor) -> Tensor:
    """head(rows), where it can be in `buffer` (at least n, V). For a few rows on a CPU by parts of
    the vocabulary that stay in the cache: such a product is bound by reading the weights, and BLAS
    reads them once for every three rows."""
    if not isinstance(head, Affine):
        return head(rows)
    outputs, whole = buffer[: len(rows)], head.out_features // FEW_OUTPUTS
    if rows.device.type != "cpu" or not 3 < len(rows) <= FEW_ROWS or not whole:
        return torch.addmm(head.bias, rows, head.weight.T, out=outputs)
    split = whole * FEW_OUTPUTS
    parts = torch.baddbmm(
        head.bias[:split].view(whole, 1, FEW_OUTPUTS),
        rows.expand(whole, *rows.shape),
        head.weight[:split].view(whole, FEW_OUTPUTS, -1).transpose(1, 2),
    )
    outputs[:, :split].view(len(rows), whole, FEW_OUTPUTS).copy_(parts.transpose(0, 1))
    torch.addmm(head.bias[split:], rows, head.weight[split:].t(), out=outputs[:, split:])
    return outputs
