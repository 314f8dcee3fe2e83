"""First-hitting sampling (Zheng et al., arXiv 2409.02908): noise that only masks, in continuous
time, one token and one network call after another."""

import torch
from torch import Tensor

from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.ancestral import Clamp, Denoiser


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
    if not isinstance(process.schedule, Absorbing) or process.predicts_mask:
        raise ValueError(
            "sampling.predictor=first_hitting: only for noise that masks and nothing else, and a "
            "network that never predicts the mask"
        )
    z = z if clamp is None else clamp(z)
    masks = (z == process.mask).sum(-1)
    most, counts = int(masks.max()), masks.tolist()  # looked at once: every call takes one away
    times = hitting_times(process.schedule, masks, most)
    for number in range(most):
        rows = torch.tensor([row for row, count in enumerate(counts) if count > number])
        rows = rows.to(z.device, non_blocking=True)
        text = z[rows]
        lot = torch.rand(text.shape, dtype=torch.float64, device=z.device)
        # a mask's lot is above zero, every other one below
        chosen = torch.where(text == process.mask, lot + 1, -1.0).argmax(-1, keepdim=True)
        where = torch.zeros_like(text, dtype=torch.bool).scatter_(-1, chosen, True)
        drawn = denoise(text, times[rows, number], rows).draw(where, count=len(rows))
        z = z.index_put((rows,), torch.where(where, drawn, text))
        z = z if clamp is None else clamp(z)
    return z


def hitting_times(schedule: Absorbing, masks: Tensor, most: int) -> Tensor:
    """(B, most) times at which the `masks` (B,) of each text are gone, one after another; those
    behind its last one mean nothing. They do not depend on the tokens that are drawn."""
    left = (masks.unsqueeze(-1) - torch.arange(most, device=masks.device)).clamp_min(1)
    uniform = torch.rand(left.shape, dtype=torch.float64, device=masks.device)
    start = torch.ones(len(masks), dtype=torch.float64, device=masks.device)
    return schedule.time(schedule(start).mask * (uniform ** (1 / left)).cumprod(-1))
