"""Ancestral steps drawn as older code draws them, in float32: only to reproduce its numbers."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import Mix
from samplers.ancestral import Clamp, Denoiser, at

TINY = 1e-10  # kept from both logarithms, as in those code bases


def clock(uniform: Tensor) -> Tensor:
    """E = -log u, of float32 numbers u, which have 24 bits: at least 6e-8."""
    return TINY - (uniform + TINY).log()


def race(weights: Tensor) -> Tensor:
    """argmax_y w_y / E_y (n,) for float32 weights (n, V). Since E is never very small, a token of
    2e-8 wins a sixth as often as it should and one of 1e-9 never: a temperature below 1 that nobody
    asked for (arXiv 2409.02908). `diffusion.categorical` is exact."""
    uniform = torch.rand(weights.shape, dtype=torch.float32, device=weights.device)
    return (weights / clock(uniform)).argmax(-1)


@torch.no_grad()
def gumbel32(
    denoise: Denoiser, process: Process, z: Tensor, grid: Tensor, clamp: Clamp | None = None
) -> Tensor:
    """z_s ~ q(z_s | z_t, p) by a race of all N + 1 states at every position that may change; z
    (B, L) from the prior down a decreasing grid of times."""
    z = z if clamp is None else clamp(z)
    for t, s in pairwise(grid.tolist()):
        rows, where = torch.arange(len(z), device=z.device), None  # all of them, everywhere
        if not process.has_noise:
            rows = (z == process.mask).any(-1).nonzero().squeeze(-1)
            where = z[rows] == process.mask
        if len(rows) == 0:
            break
        text = z[rows]
        now, then = at(t, text), at(s, text)
        prediction = denoise(text, now, rows)
        row = partial(_row, process=process, warper=prediction.warper, last=s == 0)
        columns = (text, now.unsqueeze(-1), then.unsqueeze(-1))
        drawn = prediction.apply(row, *columns, where=where).long()
        z = z.index_put((rows,), drawn if where is None else torch.where(where, drawn, text))
        z = z if clamp is None else clamp(z)
    return z


def _row(
    outputs: Tensor,
    z: Tensor,
    t: Tensor,
    s: Tensor,
    process: Process,
    warper: Callable[[Tensor], Tensor],
    last: bool,
) -> Tensor:
    """A draw (n,) from the posterior of z (n,) at times t (n,) to s (n,), whole in float32; at the
    last step among the tokens."""
    size, token = process.vocab_size, z.unsqueeze(-1)
    p = warper(outputs[:, :size] if last else outputs).float().softmax(-1)
    p = F.pad(p, (0, size + 1 - p.shape[-1]))
    rho = process.jump(token, p.gather(-1, token), t, s).float()
    then = Mix(*(part.float() for part in process.schedule(s)))
    p = p * then.keep
    p[:, :size] += then.noise / size
    p[:, size:] += then.mask
    q = (rho * p).scatter_add(-1, token, 1 - rho)
    return race(q[:, :size] if last else q)
