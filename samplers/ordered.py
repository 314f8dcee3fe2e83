"""Sampling in an order: masks are revealed a few at a time, those that a rule picks."""

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.prediction import Prediction
from diffusion.process import Process
from diffusion.schedule import Absorbing
from samplers.ancestral import Clamp, Denoiser
from samplers.orders import Order

# (prediction, where (b, L), rows (b,) of the batch) -> the tokens (b, L) that are revealed there
Fill = Callable[[Prediction, Tensor, Tensor], Tensor]


@torch.no_grad()
def ordered(
    denoise: Denoiser, process: Process, z: Tensor, order: Order, clamp: Clamp | None = None
) -> Tensor:
    """Texts (B, L) whose masks are drawn from the network, the next ones of `order` in every call:
    independently of each other, given all that stands by then."""

    def drawn(prediction: Prediction, where: Tensor, rows: Tensor) -> Tensor:
        return prediction.draw(where, process.vocab_size)

    return reveal(denoise, process, z, order, drawn, clamp)


def reveal(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    order: Order,
    fill: Fill,
    clamp: Clamp | None = None,
) -> Tensor:
    """z (B, L) without its masks, which `fill` replaces as `order` picks them; a text leaves the
    batch when it has none.

    The network is told the time at which the noise masks as large a share of a text: like the
    order's pick, a function of what stands in the text. ValueError where tokens are noise."""
    if not isinstance(process.schedule, Absorbing):
        raise ValueError("sampling.predictor=ordered: only for noise that masks and nothing else")
    share = torch.arange(z.shape[1] + 1, dtype=torch.float64, device=z.device) / z.shape[1]
    times = process.schedule.time(share)  # by the number of masks
    z = z if clamp is None else clamp(z)
    while True:
        masked = z == process.mask
        rows = masked.any(-1).nonzero().squeeze(-1)
        if len(rows) == 0:
            return z
        text, masked = z[rows], masked[rows]
        prediction = denoise(text, times[masked.sum(-1)], rows)
        where = order.next(prediction, masked, process.vocab_size)
        z = z.index_put((rows,), torch.where(where, fill(prediction, where, rows), text))
        z = z if clamp is None else clamp(z)
