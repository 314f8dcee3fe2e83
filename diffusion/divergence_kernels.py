"""The divergence between the predictions of two rows of logits, and its gradient in the place of
the first, by a Triton kernel that reads both twice. Logits may be bf16; sums and numbers of a row
are float32."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from diffusion.row_kernels import BLOCK, NOTHING, WARPS


@triton.jit
def _divergence(  # type: ignore[no-untyped-def]
    logits,
    stride,
    others,
    others_stride,
    size,
    divergence,
    FORWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row, with l and t the logits of p and q. First both normalisers and the mean of l - t
    under p, by lanes that each keep their largest logits and the sums beside them; then the
    gradient p (l - t - its mean), or p - q if FORWARD, and the sum of p log(p / q) - p + q, or of
    q log(q / p) - q + p if FORWARD, whose terms are positive and to first order free of the
    rounding of the normalisers."""
    row = tl.program_id(0).to(tl.int64)
    start, other = logits + row * stride, others + row * others_stride
    lanes = tl.arange(0, BLOCK)
    peak = tl.full([BLOCK], NOTHING, tl.float32)
    other_peak = tl.full([BLOCK], NOTHING, tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    other_total = tl.zeros([BLOCK], tl.float32)
    raised = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        here = first + lanes < size
        value = tl.load(start + first + lanes, here, NOTHING).to(tl.float32)
        other_value = tl.load(other + first + lanes, here, NOTHING).to(tl.float32)
        higher = tl.maximum(peak, value)
        kept, added = tl.exp(peak - higher), tl.exp(value - higher)
        total = total * kept + added
        raised = raised * kept + added * (value - other_value)
        peak = higher
        higher = tl.maximum(other_peak, other_value)
        other_total = other_total * tl.exp(other_peak - higher) + tl.exp(other_value - higher)
        other_peak = higher
    top, other_top = tl.max(peak, 0), tl.max(other_peak, 0)
    kept = tl.exp(peak - top)
    whole = tl.sum(total * kept, 0)
    mean = tl.sum(raised * kept, 0) / whole
    log_total = top + tl.log(whole)
    other_log_total = other_top + tl.log(tl.sum(other_total * tl.exp(other_peak - other_top), 0))

    terms = tl.zeros([BLOCK], tl.float32)
    for first in range(0, size, BLOCK):
        here = first + lanes < size
        value = tl.load(start + first + lanes, here, NOTHING).to(tl.float32)
        other_value = tl.load(other + first + lanes, here, NOTHING).to(tl.float32)
        log_p, log_q = value - log_total, other_value - other_log_total
        p, q, ratio = tl.exp(log_p), tl.exp(log_q), log_p - log_q
        if FORWARD:
            terms += p - q - q * ratio
            result = p - q
        else:
            terms += p * ratio - p + q
            result = p * (value - other_value - mean)
        tl.store(start + first + lanes, result, here)
    tl.store(divergence + row, tl.sum(terms, 0))


def divergence_(logits: Tensor, others: Tensor, forward: bool) -> Tensor:
    """KL(p || q) (n,), or KL(q || p) if `forward`, of logits (n, N) of p, which its gradient by
    them replaces, and `others` (n, N) of q; rows are contiguous."""
    count, size = logits.shape
    divergence = torch.empty(count, device=logits.device)
    _divergence[(count,)](
        logits, logits.stride(0), others, others.stride(0), size, divergence,
        FORWARD=forward, BLOCK=BLOCK, num_warps=WARPS,
    )  # fmt: skip
    return divergence
