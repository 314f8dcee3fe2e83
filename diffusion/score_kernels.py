"""Sums over rows of log scores for SEDD's score entropy under uniform noise, and its gradient in
their place, by two Triton kernels: each number is read twice and written once. Log scores may be
bf16; sums and numbers of a row are float32."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from diffusion.row_kernels import BLOCK, NOTHING, WARPS


@triton.jit
def _sums(  # type: ignore[no-untyped-def]
    log_s, stride, size, x, z, total, linear, at_x, BLOCK: tl.constexpr
):
    """One row: sums of s and of log s over all tokens but z, and log s at x."""
    row = tl.program_id(0).to(tl.int64)
    start = log_s + row * stride
    own = tl.load(z + row)
    scores = tl.zeros([BLOCK], tl.float32)
    logs = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        column = first + tl.arange(0, BLOCK)
        here = (column < size) & (column != own)
        value = tl.load(start + column, here, NOTHING).to(tl.float32)
        scores += tl.exp(value)
        logs += tl.where(here, value, 0.0)
    tl.store(total + row, tl.sum(scores, 0))
    tl.store(linear + row, tl.sum(logs, 0))
    tl.store(at_x + row, tl.load(start + tl.load(x + row)).to(tl.float32))


@triton.jit
def _gradient(  # type: ignore[no-untyped-def]
    log_s, stride, size, x, z, plain, at_x, BLOCK: tl.constexpr
):
    """A block of a row: s_y - plain + at_x [y = x], and 0 at z."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = log_s + row * stride + column
    value = tl.load(place, column < size, NOTHING).to(tl.float32)
    result = tl.exp(value) - tl.load(plain + row)
    result += tl.where(column == tl.load(x + row), tl.load(at_x + row), 0.0)
    result = tl.where(column == tl.load(z + row), 0.0, result)
    tl.store(place, result, column < size)


def score_sums(log_s: Tensor, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums (n,) of s_y and of log s_y over y != z, and log s_x (n,), of log scores (n, N), whose
    rows are contiguous, and tokens x and z (n,)."""
    total, linear, at_x = (torch.empty(len(x), device=x.device) for _ in range(3))
    _sums[(len(x),)](
        log_s, log_s.stride(0), log_s.shape[1], x, z, total, linear, at_x,
        BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return total, linear, at_x


def score_gradient_(log_s: Tensor, x: Tensor, z: Tensor, plain: Tensor, at_x: Tensor) -> None:
    """Replaces log scores (n, N) by s_y - plain + at_x [y = x] where y is not z, by 0 where it is;
    plain and at_x (n,)."""
    grid = (len(x), triton.cdiv(log_s.shape[1], BLOCK))
    _gradient[grid](
        log_s, log_s.stride(0), log_s.shape[1], x, z, plain.float(), at_x.float(),
        BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
