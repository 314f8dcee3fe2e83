"""Bounds on the negative log-likelihood, row by row: logits (n, N) in, nats (n,) out; z == N is the
mask. Losses that training takes through the whole vocabulary bring their gradient along."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.in_place import add_at_, exponentials_
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
        total, (log_p,) = exponentials_(logits, x)
        add_at_(logits, x, -total)
        return -scale * log_p, scale / total

    def by_kernels(
        self, logits: Tensor, x: Tensor, *columns: Tensor | Mix
    ) -> tuple[Tensor, Tensor]:
        """As `with_gradient`, of logits that may be bf16: see `diffusion.row_kernels`."""
        from diffusion.row_kernels import gradient_, row_sums  # Triton is not everywhere

        scale = self.weight(x, logits.shape[-1], *columns)
        sums, one = row_sums(logits, x), torch.ones_like(scale)
        gradient_(logits, sums, x, -one, one)
        return -scale * sums.log_p_x, scale


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
    known = _known(x, z, mix, logits.shape[-1])
    log_p = logits.log_softmax(-1)
    spread = torch.log1p(known.odds.to(logits.dtype).unsqueeze(-1) * log_p.exp()).sum(-1)
    at_x, at_z = (log_p.gather(-1, token.unsqueeze(-1)) for token in (x, known.token))
    return _divergence(at_x.squeeze(-1), at_z.squeeze(-1), spread, known)[0]


class Known(NamedTuple):
    """The part of the divergence that the noise alone decides, (n,) each and float64 but for the
    token: z, with any token for the mask, whose probability plays no part."""

    token: Tensor
    odds: Tensor  # keep / n; 0 without noise, where the sum has no weight
    keep: Tensor
    n: Tensor
    log_keep: Tensor
    log_n: Tensor
    log_given: Tensor  # of q_t(z | x) at tokens
    entropy: Tensor
    no_ratio: Tensor


def _known(x: Tensor, z: Tensor, mix: Mix, size: int) -> Known:
    keep, n = mix.keep.double(), mix.noise.double() / size
    given = keep * (z == x) + n
    return Known(
        token=z.masked_fill(z == size, 0),
        odds=torch.where(n > 0, keep / n, 0.0),
        keep=keep,
        n=n,
        log_keep=keep.log(),
        log_n=n.log(),
        log_given=given.log(),
        entropy=torch.xlogy(keep + n, keep + n) - torch.xlogy(n, n),
        no_ratio=(z == size) | (given == 0),
    )


def _divergence(
    log_p_x: Tensor, log_p_z: Tensor, spread: Tensor, known: Known
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The divergence (n,) from what it needs of the vocabulary, and its derivatives by the first
    three, float64."""
    raised_x, raised_z = known.log_keep + log_p_x.double(), known.log_keep + log_p_z.double()
    log_q_x = torch.logaddexp(raised_x, known.log_n)
    log_q_z = torch.logaddexp(raised_z, known.log_n)
    # finite where no noise is, and so no weight
    log_ratio = (known.log_given - log_q_z).masked_fill(known.no_ratio, 0.0).clamp_max(700)
    excess = torch.expm1(log_ratio)
    value = known.entropy - known.keep * log_q_x - known.n * spread + excess - log_ratio
    at_x = -known.keep * (raised_x - log_q_x).exp()
    return value, at_x, -excess * (raised_z - log_q_z).exp(), -known.n


@dataclass(frozen=True)
class Interpolating:
    """weight(x, z, mix, rate, N) * `interpolating_divergence`, with its gradient in place."""

    weight: Callable[[Tensor, Tensor, Mix, Mix, int], Tensor]

    def __call__(self, logits: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
        weight = self.weight(x, z, mix, rate, logits.shape[-1])
        return weight * interpolating_divergence(logits, x, z, mix)

    def prepare(
        self, size: int, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor, Known]:
        """The columns of `with_gradient`: what does not depend on the logits, for all rows at once
        instead of some at a time."""
        return x, self.weight(x, z, mix, rate, size), _known(x, z, mix, size)

    def with_gradient(
        self, logits: Tensor, x: Tensor, scale: Tensor, known: Known
    ) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`, by the chain rule.

        With a = o p / (1 + o p), o = keep / n: d spread = a - p sum a, d log p(y) = [y] - p."""
        total, (log_p_x, log_p_z) = exponentials_(logits, x, known.token)
        odds = (known.odds / total).to(logits.dtype).unsqueeze(-1)
        scratch = (logits * odds).add_(1)
        value, at_x, at_z, of_sum = _divergence(log_p_x, log_p_z, _sum_of_logs(scratch), known)
        share = torch.mul(logits, scratch.reciprocal_(), out=scratch)
        share.mul_((odds * of_sum.unsqueeze(-1)).to(share.dtype))
        drain = (at_x + at_z + share.sum(-1)) / total
        logits.mul_(-drain.unsqueeze(-1).to(logits.dtype)).add_(share)
        add_at_(logits, x, at_x)
        add_at_(logits, known.token, at_z)
        return scale * value, scale

    def by_kernels(
        self, logits: Tensor, x: Tensor, scale: Tensor, known: Known
    ) -> tuple[Tensor, Tensor]:
        """As `with_gradient`, of logits that may be bf16: see `diffusion.row_kernels`."""
        from diffusion.row_kernels import gradient_, row_sums  # Triton is not everywhere

        sums = row_sums(logits, x, known.token, known.odds)
        assert sums.log_p_z is not None and sums.spread is not None and sums.shares is not None
        log_p = (sums.log_p_x, sums.log_p_z)
        value, at_x, at_z, of_sum = _divergence(*log_p, sums.spread, known)
        drain = at_x + at_z + of_sum * sums.shares
        gradient_(logits, sums, x, at_x, -drain, known.token, at_z, known.odds, of_sum)
        return scale * value, scale


def _sum_of_logs(values: Tensor) -> Tensor:
    """sum_j log u_j (n,), of products of two: half as many logarithms."""
    if torch.compiler.is_compiling():  # within the pass that makes u, and another sum of it
        return values.log().sum(-1)
    half = values.shape[-1] // 2
    pairs = (values[:, :half] * values[:, half : 2 * half]).log_().sum(-1)
    return pairs + values[:, 2 * half :].log().sum(-1)


# The bound of every process of this suite: GIDD's; MDLM's without noise, UDLM's and DUO's without
# masks
interpolating_bound = Interpolating(interpolating_weight)
