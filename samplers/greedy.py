"""How a text ends, where the last step is not drawn like the others: `noise_removal`."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.process import Process
from samplers.ancestral import Clamp, Denoiser, at


@torch.no_grad()
def with_tail(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    sampler: Callable[..., Tensor],
    tail: str,
    clamp: Clamp | None = None,
) -> Tensor:
    """`sampler` down to the last time of the grid, above 0, then the end that `tail` names.

    "none": nothing more; noise of that level, masks among it, may stay. "greedy": argmax p(. | z)
    of one more network call, at every position where a token can be noise, at the masks elsewhere:
    as the published samples of DUO were made. "greedy-posterior": the same with argmax q(z_0 | z,
    p), as the text of DUO has it (arXiv 2506.10892): a token y is as likely as b(z) p_y, and the
    one that stands there as (keep + b(z)) p_z. At the last time b(z) is so small that a token is
    almost never revised."""
    z, end = sampler(denoise, process, z, grid, clamp=clamp), float(grid[-1])
    if tail == "none":
        return z
    where = torch.ones_like(z, dtype=torch.bool) if process.has_noise else z == process.mask
    rows = where.any(-1).nonzero().squeeze(-1)
    if len(rows) == 0:
        return z
    favour = torch.zeros_like(z, dtype=torch.float64)  # added to log p of the token that stands
    if tail == "greedy-posterior":
        now = process.schedule(at(end, z))
        b = process.at(z, now)
        favour = torch.where(z == process.mask, 0.0, ((now.keep + b) / b).log())
    text = z[rows]
    prediction = denoise(text, at(end, text), rows)

    def best(outputs: Tensor, token: Tensor, more: Tensor) -> Tensor:
        log_p = prediction.warper(outputs[:, : process.vocab_size]).double()
        present = token.clamp_max(process.vocab_size - 1).unsqueeze(-1)
        return log_p.scatter_add(-1, present, more.unsqueeze(-1)).argmax(-1)

    tokens = prediction.apply(best, text, favour[rows], where=where[rows]).long()
    z = z.index_put((rows,), torch.where(where[rows], tokens, text))
    return clamp(z) if clamp else z
