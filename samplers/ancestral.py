"""Ancestral sampling for every process, and the predictor-corrector samplers that add a coin to it:
a coin per position, and a draw from the network where it jumps."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.coins import Coins, Independent, MakeCoins

# (z (b, L), t (b,), rows (b,)) -> the prediction of the clean tokens of these texts of the batch;
# without rows of all of them
Denoiser = Callable[..., Prediction]
Clamp = Callable[[Tensor], Tensor]  # puts the given tokens back in their places
# (process, z (B, L), t, s) -> the chance (1, 1) or (B, L) of a posterior step
Kappa = Callable[[Process, Tensor, float, float], Tensor]
# (rows (b,), where (b, L) something was drawn, tokens (b, L), the prediction of these texts)
Watch = Callable[[Tensor, Tensor, Tensor, Prediction], None]


@torch.no_grad()
def ancestral(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    kappa: Kappa | None = None,
    watch: Watch | None = None,
    clamp: Clamp | None = None,
    coins: MakeCoins = Independent,
) -> Tensor:
    """z_s ~ q(z_s | z_t, p(. | z_t)) along a decreasing grid of times; z (B, L) is a draw from the
    prior.

    With `kappa` a position takes that step with the chance kappa only; else it goes all the way
    back, to x ~ q(x | z_t, p), and is noised to level s anew (Psi-samplers, arXiv 2602.21185).
    `watch` hears of every draw."""
    clamp = clamp or (lambda tokens: tokens)
    z = clamp(z)
    for t, s in pairwise(grid.tolist()):
        z = clamp(_step(denoise, process, z, t, s, kappa, watch, coins))
    return z


def at(time: float, z: Tensor) -> Tensor:
    """That time for every text of z (B, L), (B,) float64, made on its device: a copy to it would be
    waited for, and so would a look at the grid there."""
    return torch.full((len(z),), time, dtype=torch.float64, device=z.device)


def _step(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    now: float,
    then: float,
    kappa: Kappa | None,
    watch: Watch | None,
    coins: MakeCoins,
) -> Tensor:
    """From the time `now` to the time `then`.

    A position that jumps is a draw from the network noised to level s, so the network is asked only
    about jumps that keep their token. Where it decides whether a position jumps, the chance is the
    smaller the more mass it puts on what stands there: a position whose coin does not fall with the
    chance for no mass at all stays, unasked. A text about which nothing is asked is not shown to
    the network: what the published cache saves without uniform noise, for each text by itself. The
    last step, to s = 0, leaves no mask: a prediction that has mass there is taken among the tokens.
    """
    last, t, s = then == 0, at(now, z), at(then, z)
    coin, keeping = coins(z.shape, z.device), coins(z.shape, z.device)
    which = torch.rand(z.shape, dtype=torch.float64, device=z.device)
    anew = None
    if kappa is not None and not last:  # to level 0 both ways are the same
        anew = ~coins(z.shape, z.device)(kappa(process, z, now, then))

    def jump(mass: Tensor | float) -> Tensor:
        rho = process.jump(z, mass, t, s)
        if anew is not None:
            rho = torch.where(anew, process.jump(z, mass, t, torch.zeros_like(s)), rho)
        return coin(rho)

    asked = process.needs_prediction(z)
    if last:
        asked &= z != process.mask
    jumps = jump(0.0)  # right where the network has no say, else the most that can jump
    if coin.nested:
        asked &= jumps
    kept, other = _noised(process, s, keeping, which, jumps if anew is None else jumps | anew)
    rows = (asked | (jumps & kept)).any(-1).nonzero().squeeze(-1)
    if len(rows):
        prediction = denoise(z[rows], t[rows], rows)
        if process.asks:
            mass = torch.zeros_like(which)
            mass[rows] = prediction.mass_at(z[rows], where=asked[rows])
            jumps = jump(mass)
            noised = jumps if anew is None else jumps | anew
            kept, other = _noised(process, s, keeping, which, noised)
        drawn = (jumps & kept)[rows]
        tokens = prediction.draw(drawn, process.vocab_size if last else None)
        other[rows] = torch.where(drawn, tokens, other[rows])
        if watch is not None:
            watch(rows, drawn, tokens, prediction)
    # What does not jump stays; where it is noised anew, only if that keeps it.
    stays = ~jumps if anew is None else ~jumps & (kept | ~anew)
    return torch.where(stays, z, other)


def _noised(
    process: Process, s: Tensor, coin: Coins, which: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:
    """`Process.noise` at times s (B,), of use `where` (B, L) alone: the coins fall among these."""
    keep = torch.where(where, process.schedule(s.double()).keep, 0.0)
    uniform = torch.stack([coin.uniforms(keep), which])
    return process.noise((where.shape[0], where.shape[1]), s, uniform)
