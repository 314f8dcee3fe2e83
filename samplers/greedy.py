"""The greedy tail of DUO's published samples: the last draw replaced by the likeliest token."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.process import Process
from samplers.ancestral import Clamp, Denoiser


@torch.no_grad()
def greedy_tail(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    sampler: Callable[..., Tensor],
    clamp: Clamp | None = None,
) -> Tensor:
    """`sampler` down to the last time of the grid, above 0, then argmax p(. | z) of one more
    network call: at every position where a token can be noise, at the masks elsewhere.

    As the published code does; the text of the paper has the argmax of the posterior, which would
    almost never revise a token."""
    z = sampler(denoise, process, z, grid, clamp=clamp)
    where = torch.ones_like(z, dtype=torch.bool) if process.has_noise else z == process.mask
    tokens = denoise(z, grid[-1].to(z.device).expand(len(z))).likeliest(where, process.vocab_size)
    z = torch.where(where, tokens, z)
    return clamp(z) if clamp else z
