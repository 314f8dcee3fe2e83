"""What bounds need of rows of logits, and their gradient in the place of the logits, by two Triton
kernels: each logit is read twice, once more where a bound sums over the vocabulary, and written
once. Logits may be bf16; sums and numbers of a row are float32."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, WARPS = 4096, 8  # logits of a row at once, and what works on them
NOTHING = tl.constexpr(-1e38)  # a logit without mass, whose differences are finite


@triton.jit
def log_sum_exp(start, size, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """log sum_j exp l_j of the row at `start`, by lanes that each keep their largest logit and the
    sum beside it."""
    lanes = tl.arange(0, BLOCK)
    peak = tl.full([BLOCK], NOTHING, tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        value = tl.load(start + first + lanes, first + lanes < size, NOTHING).to(tl.float32)
        higher = tl.maximum(peak, value)
        total = total * tl.exp(peak - higher) + tl.exp(value - higher)
        peak = higher
    top = tl.max(peak, 0)
    return top + tl.log(tl.sum(total * tl.exp(peak - top), 0))


@triton.jit
def _sums(  # type: ignore[no-untyped-def]
    logits,
    stride,
    size,
    x,
    z,
    odds,
    log_total,
    log_p_x,
    log_p_z,
    spread,
    shares,
    PAIR: tl.constexpr,
    SPREADS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row: log sum_j exp l_j and log p at x, at z of a pair; then, with normalised p, sums of
    log(1 + o p) and o p / (1 + o p)."""
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * stride
    normaliser = log_sum_exp(start, size, BLOCK)
    tl.store(log_total + row, normaliser)
    at_x = tl.load(start + tl.load(x + row)).to(tl.float32)
    tl.store(log_p_x + row, at_x - normaliser)
    if PAIR:
        at_z = tl.load(start + tl.load(z + row)).to(tl.float32)
        tl.store(log_p_z + row, at_z - normaliser)
    if SPREADS:
        lanes = tl.arange(0, BLOCK)
        ratio = tl.load(odds + row)
        logs = tl.zeros([BLOCK], tl.float32)
        parts = tl.zeros([BLOCK], tl.float32)
        for first in range(0, size, BLOCK):
            here = first + lanes < size
            value = tl.load(start + first + lanes, here, NOTHING).to(tl.float32)
            scaled = ratio * tl.exp(value - normaliser)
            logs += tl.log(1 + scaled)
            parts += scaled / (1 + scaled)
        tl.store(spread + row, tl.sum(logs, 0))
        tl.store(shares + row, tl.sum(parts, 0))


@triton.jit
def _gradient(  # type: ignore[no-untyped-def]
    logits,
    stride,
    size,
    x,
    z,
    odds,
    log_total,
    of_p,
    of_share,
    at_x,
    at_z,
    PAIR: tl.constexpr,
    SPREADS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A block of a row: of_p p_j + of_share o p_j / (1 + o p_j) + at_x [j = x] + at_z [j = z]."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    place = logits + row * stride + column
    value = tl.load(place, column < size, NOTHING).to(tl.float32)
    p = tl.exp(value - tl.load(log_total + row))
    result = tl.load(of_p + row) * p
    result += tl.where(column == tl.load(x + row), tl.load(at_x + row), 0.0)
    if SPREADS:
        scaled = tl.load(odds + row) * p
        result += tl.load(of_share + row) * scaled / (1 + scaled)
    if PAIR:
        result += tl.where(column == tl.load(z + row), tl.load(at_z + row), 0.0)
    tl.store(place, result, column < size)


class Sums(NamedTuple):
    """Of each row (n,), float32: the logarithm of the normaliser, log p at x and at z, sum_j log(1
    + o p_j), and sum_j o p_j / (1 + o p_j); the last two None without odds, the third without z."""

    log_total: Tensor
    log_p_x: Tensor
    log_p_z: Tensor | None = None
    spread: Tensor | None = None
    shares: Tensor | None = None


def row_sums(
    logits: Tensor, x: Tensor, z: Tensor | None = None, odds: Tensor | None = None
) -> Sums:
    """Of logits (n, N), whose rows are contiguous, tokens x and z (n,), and odds o (n,), which need
    z beside them."""
    count = 2 + (z is not None) + 2 * (odds is not None)
    found = [torch.empty(len(x), device=x.device) for _ in range(count)]
    unused = [x] * (5 - count)  # that the kernel without them does not look at
    o = x if odds is None else odds.float()
    _sums[(len(x),)](
        logits, logits.stride(0), logits.shape[1], x, x if z is None else z, o, *found, *unused,
        PAIR=z is not None, SPREADS=odds is not None, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return Sums(*found)


def gradient_(
    logits: Tensor,
    sums: Sums,
    x: Tensor,
    at_x: Tensor,
    of_p: Tensor,
    z: Tensor | None = None,
    at_z: Tensor | None = None,
    odds: Tensor | None = None,
    of_share: Tensor | None = None,
) -> None:
    """Replaces logits (n, N) by of_p p_j + of_share o p_j / (1 + o p_j) + at_x [j = x] + at_z [j =
    z], all numbers (n,); without odds there is no second term, without z no last one."""
    more = [x if one is None else one.float() for one in (odds, of_share, at_z)]
    grid = (len(x), triton.cdiv(logits.shape[1], BLOCK))
    _gradient[grid](
        logits, logits.stride(0), logits.shape[1], x, x if z is None else z, more[0],
        sums.log_total, of_p.float(), more[1], at_x.float(), more[2],
        PAIR=z is not None, SPREADS=odds is not None, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
