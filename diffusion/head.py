"""The last layer of a network, which turns hidden states into outputs."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What computes losses that bring their gradient along: torch's own operations, what torch.compile
# makes of them, or Triton kernels where a loss has some.
Losses = Literal["torch", "compiled", "kernels"]
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
    behind them are computed by `losses`."""

    products: torch.dtype | None = None
    losses: Losses = "torch"

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


class Products:
    """Outputs of a head for up to `rows` rows at a time, in `dtype` and in buffers that are used
    again; `low` where that is less than the weight's. Where the device can, and not with `kernels`,
    which take half precision, sums of half-precision products are kept in float32."""

    def __init__(
        self, weight: Tensor, bias: Tensor, dtype: torch.dtype, rows: int, kernels: bool
    ) -> None:
        self.low, width = dtype != weight.dtype, padded(len(weight))
        outputs = width if self.low else len(weight)
        self.wide: Tensor | None = None
        self.weight = widened(weight, width, dtype) if self.low else weight
        self.buffer = weight.new_empty(rows, width, dtype=dtype)[:, :outputs]
        if self.low and not kernels and keeps_float32(weight.device, dtype):
            self.wide = weight.new_empty(rows, width)
            self.buffer.zero_()  # the outputs that pad stay zero
        kind = weight.dtype if self.wide is not None else dtype
        self.bias = widened(bias, width, kind) if self.low else bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Outputs (n, V or more) of rows (n, D)."""
        if self.wide is not None:
            return float32_outputs(Affine(self.weight, self.bias), rows, self.wide)
        return torch.addmm(self.bias, rows, self.weight.T, out=self.buffer[: len(rows)])


@cache
def keeps_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the device has `float32_outputs` of numbers in `dtype`: torch has it for CUDA alone.
    The device is asked once, by a small product."""
    return device.type == "cuda" and are_float32(device, dtype)


def are_float32(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `float32_outputs` are there, and have the digits that `dtype` has not."""
    beyond = 2**-10
    ones = torch.ones(ALIGNED, ALIGNED, dtype=dtype, device=device)
    bias = torch.full((ALIGNED,), beyond, device=device)
    buffer = torch.empty(ALIGNED, 2 * ALIGNED, device=device)[:, :ALIGNED]
    try:
        found = float32_outputs(Affine(ones, bias), ones, buffer)
    except (RuntimeError, TypeError):  # no such kernel, no such argument
        return False
    return bool((found == ALIGNED + beyond).all())


def float32_outputs(head: Affine, rows: Tensor, buffer: Tensor) -> Tensor:
    """head(rows) in `buffer` (at least n, V) of float32; its weight and the rows are in half
    precision, its bias is float32."""
    return torch.addmm(
        head.bias, rows, head.weight.T, out_dtype=torch.float32, out=buffer[: len(rows)]
    )
