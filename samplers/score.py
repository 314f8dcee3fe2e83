"""SEDD's samplers, analytic tau-leaping (Tweedie) and Euler: steps of scores, not of predictions.

Functions of rows use the outputs up: these are made anew for every question.

The score s(z)_y stands for q_t(y) / q_t(z). Under absorbing noise the network's output is log N p_y
of an unnormalised p with s_y = (keep / mask) p_y, under uniform noise it is log s_y itself."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from diffusion.categorical import draw_weighted
from diffusion.prediction import Prediction
from diffusion.process import Process
from diffusion.schedule import Mix
from samplers.ancestral import Clamp, Denoiser, at
from samplers.coins import Coins, Independent, MakeCoins

# the mixture at t, its rate, the mixture at s, t - s
Step = tuple[Mix, Mix, Mix, Tensor]


class Rule(NamedTuple):
    """How a step goes. With masks: the chance (B, L) that a mask of mass S is gone. With uniform
    noise: the chance (n,) that a token leaves, and weights (n, N) of the others, 0 for itself."""

    unmasking: Callable[[Tensor, Mix, Mix, Mix, Tensor], Tensor]
    leaving: Callable[..., Tensor]
    moving: Callable[..., Tensor]


def _sum(rows: Tensor) -> Tensor:
    """(n,) float64 sums of rows (n, N) that are not negative, in their own precision, which is good
    to a part in a million and ten times as fast."""
    return rows.sum(-1).double()


def analytic_unmasking(total: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """S (keep_s - keep_t) / mask_t."""
    return total * (then.keep - now.keep) / now.mask


def _floor(s: Tensor, now: Mix, then: Mix) -> Tensor:
    """How far e (exp(-dsigma Q) s)_y, e = exp(-dsigma), lies below s_y: (n, 1), one for all y."""
    share = (1 - now.keep / then.keep) / s.shape[-1]
    return (_sum(s) * share).unsqueeze(-1).to(s.dtype)


def analytic_leaving(
    log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor
) -> Tensor:
    """From the weights (exp(-dsigma Q) s)_y exp(dsigma Q)(y, z); an estimate below zero counts as
    zero."""
    token, e = z.unsqueeze(-1), now.keep / then.keep
    s = log_s.scatter_(-1, token, 0.0).exp_()  # s_z = 1
    floor = _floor(s, now, then)
    others = _sum(s.sub_(floor).clamp_min_(0).scatter_(-1, token, 0.0))
    own = (1 - floor.double()).clamp_min(0).squeeze(-1) * (1 + e / (1 - e) * s.shape[-1])
    return others / (others + own)


def analytic_moving(log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """The same weights up to a factor."""
    s = log_s.scatter_(-1, z.unsqueeze(-1), 0.0).exp_()
    return s.sub_(_floor(s, now, then)).clamp_min_(0).scatter_(-1, z.unsqueeze(-1), 0.0)


def euler_unmasking(total: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """dt S mask' / mask."""
    return total * dt * rate.mask / now.mask


def euler_leaving(log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """dt (sigma' / N) sum_{y != z} s_y, and where that is above one, one."""
    others = _sum(euler_moving(log_s, z, now, rate, then, dt))
    return others * (-rate.keep / now.keep / log_s.shape[-1] * dt)


def euler_moving(log_s: Tensor, z: Tensor, now: Mix, rate: Mix, then: Mix, dt: Tensor) -> Tensor:
    """s_y for y != z."""
    return log_s.scatter_(-1, z.unsqueeze(-1), -torch.inf).exp_()


ANALYTIC = Rule(analytic_unmasking, analytic_leaving, analytic_moving)
EULER = Rule(euler_unmasking, euler_leaving, euler_moving)


def _mass(outputs: Tensor) -> Tensor:
    """S = sum_y p_y (n,), which is one where the scores are exact."""
    return _sum(outputs.exp_()) / outputs.shape[-1]


@torch.no_grad()
def score_steps(
    denoise: Denoiser,
    process: Process,
    z: Tensor,
    grid: Tensor,
    rule: Rule,
    clamp: Clamp | None = None,
    coins: MakeCoins = Independent,
) -> Tensor:
    """z (B, L) from a draw of the prior down a decreasing grid of times. The last step, to s = 0,
    is the analytic denoising one, drawn without the mask, whatever the rule."""
    clamp = clamp or (lambda tokens: tokens)
    z = clamp(z)
    for began, ended in pairwise(grid.tolist()):
        going, rows = z == process.mask, torch.arange(len(z), device=z.device)
        if not process.has_noise:
            rows = going.any(-1).nonzero().squeeze(-1)
        if len(rows) == 0:
            break
        t, s = at(began, z[:1]), at(ended, z[:1])
        text, last, (now, rate) = z[rows], ended == 0, process.mix(t)
        step = (now, rate, process.mix(s)[0], (t - s).unsqueeze(-1))  # (1, 1) each
        prediction = denoise(text, t.expand(len(rows)), rows)
        coin = coins(text.shape, text.device)
        if process.has_noise:
            text = _moved(prediction, text, step, ANALYTIC if last else rule, coin)
        elif last:
            text = torch.where(going[rows], prediction.draw(going[rows]), text)
        else:
            text = _unmasked(prediction, text, going[rows], step, rule, coin)
        z = clamp(z.index_put((rows,), text))
    return z


def _moved(prediction: Prediction, z: Tensor, step: Step, rule: Rule, coin: Coins) -> Tensor:
    """Every position (b, L): whether it leaves, and only then where to."""
    leaves = coin(prediction.apply(rule.leaving, z, *step))

    def elsewhere(*row: Tensor) -> Tensor:
        return draw_weighted(rule.moving(*row))

    return torch.where(leaves, prediction.apply(elsewhere, z, *step, where=leaves).long(), z)


def _unmasked(
    prediction: Prediction, z: Tensor, masked: Tensor, step: Step, rule: Rule, coin: Coins
) -> Tensor:
    """Masks (b, L) by their chance to be gone."""
    gone = masked & coin(rule.unmasking(prediction.apply(_mass, where=masked), *step))
    return torch.where(gone, prediction.draw(gone), z)


analytic = partial(score_steps, rule=ANALYTIC)
euler = partial(score_steps, rule=EULER)
