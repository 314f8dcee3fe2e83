"""Rotary position embedding on the full head width, half-split pairs, base 10000."""

from functools import lru_cache

import torch
from torch import Tensor

BASE = 10000.0
Rotary = tuple[Tensor, Tensor]


@lru_cache(maxsize=8)
def rotary_table(length: int, width: int, device: torch.device) -> Rotary:
    """Cosines and signed sines (length, 1, width) of position * BASE ** (-2 i / width), float32.

    Kept outside the network: no state-dict key, no cast by `.bfloat16()`, one copy for a network,
    its average and its teacher. The first half of the sines carries the minus of the rotation.
    """
    # The first call may come from an evaluation loop, and inference tensors cannot enter autograd.
    with torch.inference_mode(False):
        rates = BASE ** (-torch.arange(0, width, 2, dtype=torch.float64, device="cpu") / width)
        angles = torch.outer(torch.arange(length, dtype=torch.float64, device="cpu"), rates)
        cos = torch.cat([angles.cos(), angles.cos()], dim=-1)
        sin = torch.cat([-angles.sin(), angles.sin()], dim=-1)
        return cos.float().unsqueeze(1).to(device), sin.float().unsqueeze(1).to(device)


def turn(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the pairs (i, i + d/2) of x (B, L, H, d); float32 inside, dtype kept."""
    cos, sin = rotary  # (L, 1, d)
    swapped = x.roll(x.shape[-1] // 2, -1)
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)
