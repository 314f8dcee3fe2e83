"""First-hitting sampling (Zheng et al., arXiv 2409.02908): noise that only masks, in continuous
time, one token and one network call after another."""

import torch
from torch import Tensor

from diffusion.process import Process
from samplers.ancestral import Clamp, Denoiser
from samplers.grids import inverse


@torch.no_grad()
def first_hitting(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor | None = None,
    clamp: Clamp | None = None,
) -> Tensor:
    """Texts (B, L) in the law that ancestral sampling reaches with infinitely many steps, in as
    many network calls for each text as it has masks.

    Of n masks at mask mass m the first is gone at mass m U^(1/n), and is any of them: each text has
    a clock of its own, and leaves the batch when it is complete. `grid` plays no part."""
    if process.has_noise or process.predicts_mask:
        raise ValueError(
            "sampling.predictor=first_hitting: only for noise that masks and nothing else, and a "
            "network that never predicts the mask"
        )
    z = z if clamp is None else clamp(z)
    level = process.schedule(torch.ones(len(z), dtype=torch.float64, device=z.device)).mask[:, 0]
    rows = torch.arange(len(z), device=z.device)
    while True:
        masks = (z[rows] == process.mask).sum(-1)
        rows, masks = rows[masks > 0], masks[masks > 0]
        if len(rows) == 0:
            return z
        level[rows] *= torch.rand_like(level[rows]) ** (1 / masks)
        t = inverse(lambda t: -process.schedule(t).mask, -level[rows])
        text = z[rows]
        lot = torch.rand(text.shape, dtype=torch.float64, device=z.device)
        # a mask's lot is above zero, every other one below
        chosen = torch.where(text == process.mask, lot + 1, -1.0).argmax(-1, keepdim=True)
        where = torch.zeros_like(text, dtype=torch.bool).scatter_(-1, chosen, True)
        drawn = denoise(text, t, rows).draw(where)
        z = z.index_put((rows,), torch.where(where, drawn, text))
        z = z if clamp is None else clamp(z)
