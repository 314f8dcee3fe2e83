"""Bounds on the negative log-likelihood, row by row: logits (n, N) in, nats (n,) out; z == N is the
mask. Losses that training takes through the whole vocabulary bring their gradient along."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.schedule import Mix


@dataclass(frozen=True)
class CrossEntropy:
    """weight(x, vocab_size, *columns) * (-log p(x)), with its gradient in place of the logits."""

    weight: Callable[..., Tensor]

    def __call__(self, logits: Tensor, x: Tensor, *columns: Tensor | Mix) -> Tensor:
        nats = F.cross_entropy(logits, x, reduction="none")
        return self.weight(x, logits.shape[-1], *columns) * nats

    def with_gradient(
        self, logits: Tensor, x: Tensor, *columns: Tensor | Mix
    ) -> tuple[Tensor, Tensor]:
        """Values (n,) and a scale (n,); scale * (what `logits` then holds) is the gradient."""
        scale = self.weight(x, logits.shape[-1], *columns)
        (log_p,) = _softmax_(logits, x)
        _add_at_(logits, x, torch.full_like(log_p, -1.0))
        return -scale * log_p, scale


def _softmax_(logits: Tensor, *tokens: Tensor) -> list[Tensor]:
    """Turns logits (n, N) into probabilities in place; log p(token) (n,) for each of `tokens`."""
    peak = logits.amax(-1, keepdim=True)
    chosen = [logits.gather(-1, token.unsqueeze(-1)) for token in tokens]
    torch.softmax(logits, -1, out=logits)
    # The likeliest token has probability 1 / sum exp(logit - peak): right where others underflow.
    log_total = peak - logits.amax(-1, keepdim=True).log()
    return [(logit - log_total).squeeze(-1) for logit in chosen]


def _add_at_(values: Tensor, token: Tensor, amount: Tensor) -> None:
    values.scatter_add_(-1, token.unsqueeze(-1), amount.to(values.dtype).unsqueeze(-1))


def _every(x: Tensor, vocab_size: int) -> Tensor:
    return torch.ones_like(x, dtype=torch.float32)


def _masked(x: Tensor, vocab_size: int, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
    return (z == vocab_size).float()


def _masked_rate(x: Tensor, vocab_size: int, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
    return torch.where(z == vocab_size, rate.mask / mix.mask, 0.0)  # mask may be 0 elsewhere


# -log p(x) (n,) of logits and x: what AR is scored by
next_token_nats = CrossEntropy(_every)
# -log p(x) at masked rows of (logits, x, z, mix, rate), 0 elsewhere: MDLM's low-variance loss
masked_nats = CrossEntropy(_masked)
# MDLM's continuous-time bound of (logits, x, z, mix, rate), (mask' / mask) (-log p(x)) if masked
masked_bound = CrossEntropy(_masked_rate)


def interpolating_weight(x: Tensor, z: Tensor, mix: Mix, rate: Mix, vocab_size: int) -> Tensor:
    """w = (b' - keep'/keep b)(z) / q_t(z | x), the rate at which noise makes z, by its mass."""
    masked = z == vocab_size
    b = torch.where(masked, mix.mask, mix.noise / vocab_size)
    b_rate = torch.where(masked, rate.mask, rate.noise / vocab_size)
    return (b_rate - rate.keep / mix.keep * b) / (b + mix.keep * (z == x))


def interpolating_divergence(logits: Tensor, x: Tensor, z: Tensor, mix: Mix) -> Tensor:
    """KL(q_t(. | x) || q_t(. | p)) + r - log r - 1 with r = q_t(z | x) / q_t(z | p).

    The sum over the vocabulary is sum_j log(keep p_j + n), n = noise / N, as N log n + sum_j
    log1p(p_j keep / n): one reduction over positive terms, no cancellation."""
    log_p = logits.log_softmax(-1)
    spread = torch.log1p(_odds(mix, logits) * log_p.exp()).sum(-1)
    at_x, at_z = (log_p.gather(-1, token.unsqueeze(-1)) for token in (x, _token(z, logits)))
    return _divergence(at_x.squeeze(-1), at_z.squeeze(-1), spread, x, z, mix, logits.shape[-1])


def _odds(mix: Mix, logits: Tensor) -> Tensor:
    """keep / n (n, 1); 0 without noise, where the sum has no weight."""
    odds = torch.where(mix.noise > 0, mix.keep / mix.noise * logits.shape[-1], 0.0)
    return odds.to(logits.dtype).unsqueeze(-1)


def _token(z: Tensor, logits: Tensor) -> Tensor:
    """z, with any token for the mask, whose probability plays no part."""
    return z.masked_fill(z == logits.shape[-1], 0)


def _divergence(
    log_p_x: Tensor, log_p_z: Tensor, spread: Tensor, x: Tensor, z: Tensor, mix: Mix, size: int
) -> Tensor:
    """The divergence (n,) from what it needs of the vocabulary, float64."""
    keep, n = mix.keep.double(), mix.noise.double() / size
    log_q_x, log_q_z = (
        torch.logaddexp(keep.log() + log_p.double(), n.log()) for log_p in (log_p_x, log_p_z)
    )
    entropy = torch.xlogy(keep + n, keep + n) - torch.xlogy(n, n)
    given = keep * (z == x) + n  # q_t(z | x) at tokens
    no_ratio = (z == size) | (given == 0)
    log_ratio = torch.where(no_ratio, 0.0, given.log() - log_q_z)
    log_ratio = log_ratio.clamp_max(700)  # finite where there is no noise, and so no weight
    return entropy - keep * log_q_x - n * spread + torch.expm1(log_ratio) - log_ratio


@dataclass(frozen=True)
class Interpolating:
    """weight(x, z, mix, rate, N) * `interpolating_divergence`, with its gradient in place."""

    weight: Callable[[Tensor, Tensor, Mix, Mix, int], Tensor]

    def __call__(self, logits: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
        weight = self.weight(x, z, mix, rate, logits.shape[-1])
        return weight * interpolating_divergence(logits, x, z, mix)

    def with_gradient(
        self, logits: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`: autograd on n numbers, the chain rule on N by hand.

        With a = o p / (1 + o p), o = keep / n: d spread = a - p sum a, d log p(y) = [y] - p."""
        scale = self.weight(x, z, mix, rate, logits.shape[-1])
        token, odds = _token(z, logits), _odds(mix, logits)
        log_p_x, log_p_z = _softmax_(logits, x, token)
        share = logits * odds
        other = share.log1p()
        parts = [one.requires_grad_() for one in (log_p_x, log_p_z, other.sum(-1))]
        with torch.enable_grad():
            value = _divergence(parts[0], parts[1], parts[2], x, z, mix, logits.shape[-1])
            at_x, at_z, of_sum = torch.autograd.grad(value.sum(), parts)
        share.div_(torch.add(share, 1, out=other)).mul_(of_sum.unsqueeze(-1))
        drain = at_x + at_z + share.sum(-1)
        logits.mul_(-drain.unsqueeze(-1)).add_(share)
        _add_at_(logits, x, at_x)
        _add_at_(logits, token, at_z)
        return scale * value.detach(), scale


# The bound of every process of this suite: GIDD's; MDLM's without noise, UDLM's and DUO's without
# masks
interpolating_bound = Interpolating(interpolating_weight)
