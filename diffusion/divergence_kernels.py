"""The divergence between the predictions of two rows of logits, and its gradient in the place of
the first, by two Triton kernels. Logits may be bf16; sums and numbers of a row are float32."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from diffusion.row_kernels import BLOCK, NOTHING, WARPS, log_sum_exp


@triton.jit
def _sums(  # type: ignore[no-untyped-def]
    logits,
    stride,
    others,
    others_stride,
    size,
    log_total,
    others_log_total,
    divergence,
    mean,
    FORWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row: both normalisers; sums of p log(p / q) - p + q, or of q log(q / p) - q + p if
    FORWARD, whose terms are positive and to first order free of the rounding of the normalisers;
    and the mean of log(p / q) under p."""
    row = tl.program_id(0).to(tl.int64)
    start, other = logits + row * stride, others + row * others_stride
    own_total = log_sum_exp(start, size, BLOCK)
    other_total = log_sum_exp(other, size, BLOCK)
    terms = tl.zeros([BLOCK], tl.float32)
    ratios = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        column = first + tl.arange(0, BLOCK)
        here = column < size
        log_p = tl.load(start + column, here, NOTHING).to(tl.float32) - own_total
        log_q = tl.load(other + column, here, NOTHING).to(tl.float32) - other_total
        p, q, ratio = tl.exp(log_p), tl.exp(log_q), log_p - log_q
        ratios += p * ratio
        if FORWARD:
            terms += p - q - q * ratio
        else:
            terms += p * ratio - p + q
    tl.store(log_total + row, own_total)
    tl.store(others_log_total + row, other_total)
    tl.store(divergence + row, tl.sum(terms, 0))
    tl.store(mean + row, tl.sum(ratios, 0))


@triton.jit
def _gradient(  # type: ignore[no-untyped-def]
    logits,
    stride,
    others,
    others_stride,
    size,
    log_total,
    others_log_total,
    mean,
    FORWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A block of a row: p (log(p / q) - its mean), or p - q if FORWARD."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = column < size
    place = logits + row * stride + column
    log_p = tl.load(place, here, NOTHING).to(tl.float32) - tl.load(log_total + row)
    log_q = tl.load(others + row * others_stride + column, here, NOTHING).to(tl.float32)
    log_q -= tl.load(others_log_total + row)
    if FORWARD:
        result = tl.exp(log_p) - tl.exp(log_q)
    else:
        result = tl.exp(log_p) * (log_p - log_q - tl.load(mean + row))
    tl.store(place, result, here)


def divergence_(logits: Tensor, others: Tensor, forward: bool) -> Tensor:
    """KL(p || q) (n,), or KL(q || p) if `forward`, of logits (n, N) of p, which its gradient by
    them replaces, and `others` (n, N) of q; rows are contiguous."""
    count, size = logits.shape
    log_total, others_log_total, divergence, mean = (
        torch.empty(count, device=logits.device) for _ in range(4)
    )
    rows = (logits, logits.stride(0), others, others.stride(0), size, log_total, others_log_total)
    how = {"FORWARD": forward, "BLOCK": BLOCK, "num_warps": WARPS}
    _sums[(count,)](*rows, divergence, mean, **how)
    _gradient[(count, triton.cdiv(size, BLOCK))](*rows, mean, **how)
    return divergence
