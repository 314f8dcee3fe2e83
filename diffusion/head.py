"""The last layer of a network, which turns hidden states into outputs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What computes losses that bring their gradient along: torch's own operations, what torch.compile
# makes of them, or Triton kernels where a loss has some.
Losses = Literal["torch", "compiled", "kernels"]
OUTPUTS_AT_ONCE = 1024  # of a product of several rows on a CPU: more do not stay in the cache
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


def product(head: Affine, rows: Tensor, outputs: Tensor) -> Tensor:
    """head(rows), in `outputs` (n, V)."""
    whole = rows.device.type != "cpu" or len(rows) == 1
    size = head.out_features if whole else OUTPUTS_AT_ONCE
    parts = (part.split(size) for part in (head.bias, head.weight))
    for bias, weight, part in zip(*parts, outputs.split(size, -1), strict=True):
        torch.addmm(bias, rows, weight.T, out=part)
    return outputs


@contextmanager
def tensor_float32(wanted: bool) -> Iterator[None]:
    """Within it, where `wanted`, CUDA multiplies float32 numbers with 10 bits of their fractions
    (TF32); their sums stay float32."""
    flags = torch.backends.cuda.matmul
    before = flags.fp32_precision
    flags.fp32_precision = "tf32" if wanted else before
    try:
        yield
    finally:
        flags.fp32_precision = before


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
        return product(Affine(self.weight, self.bias), rows, self.buffer[: len(rows)])


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
