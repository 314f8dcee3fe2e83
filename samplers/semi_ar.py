"""Semi-autoregressive sampling (MDLM, arXiv 2406.07524): texts longer than the model, one window
after another."""

from collections.abc import Callable

import torch
from torch import Tensor

# (tokens (B, w), fixed (B, w) bool) -> texts (B, w) that keep the fixed tokens
Sample = Callable[[Tensor, Tensor], Tensor]


def check_stride(stride: int, window: int, opening: int) -> None:
    """ValueError where a window would have no token of the text before it, or the stride is not
    positive."""
    if not 1 <= stride < window - opening:
        raise ValueError(
            f"sampling.stride={stride}: from 1 to {window - opening - 1}, so that a window of "
            f"{window} tokens begins with some of the text before"
        )


def semi_ar(
    sample: Sample, tokens: Tensor, fixed: Tensor, window: int, stride: int, opening: int = 1
) -> Tensor:
    """Texts (B, L) of any length that keep `tokens` (B, L) where `fixed` (B, L) is True.

    The first `window` tokens are one text of the model; then, again and again, the next `stride`
    are drawn behind the last ones that the window still holds. Fixed tokens further ahead are seen
    when the window reaches it.

    The first `opening` tokens of the text stand at the front of every window: blocks of training
    text are BOS and then a stretch from anywhere in the corpus, so BOS belongs there, and is no
    claim that a document begins. Where a model was trained without BOS, `opening` is 0, as
    published. ValueError as `check_stride`."""
    check_stride(stride, window, opening)
    tokens, length = tokens.clone(), tokens.shape[1]
    done = min(window, length)
    tokens[:, :done] = sample(tokens[:, :done], fixed[:, :done])
    while done < length:
        end = min(done + stride, length)
        begin = end - (window - opening)
        seen = torch.cat([torch.arange(opening), torch.arange(begin, end)]).to(tokens.device)
        known = fixed[:, seen] | (seen < done)
        tokens[:, done:end] = sample(tokens[:, seen], known)[:, done - end :]
        done = end
    return tokens
