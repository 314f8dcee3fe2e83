"""SEDD's samplers, analytic tau-leaping (Tweedie) and Euler: steps of scores, not of predictions.

The score s(z)_y stands for q_t(y) / q_t(z). Under absorbing noise the network's output is log N p_y
of an unnormalised p with s_y = (keep / mask) p_y, under uniform noise it is log s_y itself.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion.categorical import draw_weighted
from diffusion.process import Process
from diffusion.schedule import Mix
from samplers.ancestral import Clamp, Denoiser


class Rule(NamedTuple):
    """How a step goes: the chance (B, L) that a mask of mass S is gone, and weights (n, N) of the
    next token."""

    unmasking: Callable[[Tensor, Mix, Mix, Mix, Tensor], Tensor]
    moving: Callable[..., Tensor]


def analytic_unmasking(total: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """S (keep_s - keep_t) / mask_t."""
    return total * (then.keep - now.keep) / now.mask


def analytic_moving(log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """(exp(-dsigma Q) s)_y exp(dsigma Q)(y, z) up to a factor; an estimate below zero counts as
    zero."""
    size, token = log_s.shape[-1], z.unsqueeze(-1)
    e = now.keep / then.keep  # exp(-dsigma)
    spread, stay = ((1 - e) / size, 1 + e / (1 - e) * size)
    s = log_s.scatter(-1, token, 0.0).exp_()  # s_z = 1
    s = s.sub_(s.sum(-1, keepdim=True) * spread.to(s.dtype).unsqueeze(-1)).clamp_min_(0)
    return s.scatter_(-1, token, s.gather(-1, token) * stay.to(s.dtype).unsqueeze(-1))


def euler_unmasking(total: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """dt S mask' / mask."""
    return total * dt * rate.mask / now.mask


def euler_moving(log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """dt (sigma' / N) s_y for y != z, and for z what is left of one."""
    size, token = log_s.shape[-1], z.unsqueeze(-1)
    speed = (-rate.keep / now.keep / size * dt).to(log_s.dtype).unsqueeze(-1)
    s = log_s.exp().mul_(speed).scatter_(-1, token, 0.0)
    return s.scatter_(-1, token, (1 - s.sum(-1, keepdim=True)).clamp_min(0))


ANALYTIC = Rule(analytic_unmasking, analytic_moving)
EULER = Rule(euler_unmasking, euler_moving)


def _mass(outputs: Tensor) -> Tensor:
    """S = sum_y p_y (n,), which is one where the scores are exact."""
    return outputs.double().exp().mean(-1)


@torch.no_grad()
def score_steps(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    rule: Rule,
    clamp: Clamp | None = None,
) -> Tensor:
    """z (B, L) from a draw of the prior down a decreasing grid of times. The last step, to s = 0,
    is the analytic denoising one, drawn without the mask, whatever the rule."""
    clamp = clamp or (lambda tokens: tokens)
    z = clamp(z)
    for t, s in pairwise(grid.to(z.device)):
        t, s, last = t.expand(len(z)), s.expand(len(z)), bool(s == 0)
        now, rate = process.mix(t)
        step = (now, rate, process.mix(s)[0], (t - s).unsqueeze(-1))
        if process.has_noise:
            weights = ANALYTIC.moving if last else rule.moving

            def draw(*row: Tensor, weights: Callable[..., Tensor] = weights) -> Tensor:
                return draw_weighted(weights(*row))

            z = clamp(denoise(z, t).ask(draw, z, *step))
            continue
        jumps = masked = z == process.mask
        if not bool(masked.any()):
            break
        prediction = denoise(z, t)
        if not last:
            chance = rule.unmasking(prediction.ask(_mass, where=masked), *step)
            jumps = masked & (torch.rand(z.shape, dtype=torch.float64, device=z.device) < chance)
        z = clamp(torch.where(jumps, prediction.draw(jumps), z))
    return z


analytic = partial(score_steps, rule=ANALYTIC)
euler = partial(score_steps, rule=EULER)
