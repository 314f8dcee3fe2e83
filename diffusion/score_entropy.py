"""SEDD's score entropy, row by row, with its gradient in place (see diffusion.bound)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.in_place import add_at_, put_at_
from diffusion.schedule import Mix


@dataclass(frozen=True)
class MaskedScoreEntropy:
    """SEDD's score entropy at rows where z is the mask, of outputs log N p_y, p not normalised:

    mask' / mask (sum_y p_y - 1 - log p(x)), the score being (keep / mask) p_y."""

    def __call__(self, outputs: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
        log_p = outputs - math.log(outputs.shape[-1])
        total = log_p.exp().sum(-1) - 1
        return rate.mask / mix.mask * (total - log_p.gather(-1, x.unsqueeze(-1)).squeeze(-1))

    def with_gradient(
        self, outputs: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`: p - [x]."""
        log_size, scale = math.log(outputs.shape[-1]), rate.mask / mix.mask
        log_p_x = outputs.gather(-1, x.unsqueeze(-1)).squeeze(-1) - log_size
        total = outputs.sub_(log_size).exp_().sum(-1) - 1
        add_at_(outputs, x, torch.full_like(log_p_x, -1.0))
        return scale * (total - log_p_x), scale

    def by_kernels(
        self, outputs: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor]:
        """As `with_gradient`, of outputs that may be bf16: see `diffusion.row_kernels`."""
        from diffusion.row_kernels import gradient_, row_sums  # Triton is not everywhere

        scale = rate.mask / mix.mask
        sums = row_sums(outputs, x)
        log_sum = sums.log_total - math.log(outputs.shape[-1])  # of p, which is not normalised
        sum_of_p = log_sum.exp()
        gradient_(outputs, sums, x, torch.full_like(sum_of_p, -1.0), sum_of_p)
        return scale * (sum_of_p - 1 - (sums.log_p_x + log_sum)), scale


@dataclass(frozen=True)
class UniformScoreEntropy:
    """SEDD's score entropy under uniform noise, of outputs log s_y, with r_y = q_t(y | x) / q_t(z |
    x):

    sigma' / N sum over y != z of s_y - r_y log s_y + r_y (log r_y - 1), sigma' = -keep' / keep."""

    def __call__(self, log_s: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix) -> Tensor:
        token = z.unsqueeze(-1)
        plain, at_x, constant, scale = self._ratios(x, z, mix, rate, log_s.shape[-1])
        log_s = log_s.scatter(-1, token, 0.0)  # the network may say of z itself what it likes
        log_s_x = log_s.gather(-1, x.unsqueeze(-1)).squeeze(-1)
        terms = log_s.exp() - plain.to(log_s.dtype).unsqueeze(-1) * log_s
        total = terms.scatter(-1, token, 0.0).sum(-1)
        return scale * (total - (at_x - plain) * log_s_x + constant)

    def with_gradient(
        self, log_s: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`: s_y - r_y for y != z."""
        plain, at_x, constant, scale = self._ratios(x, z, mix, rate, log_s.shape[-1])
        put_at_(log_s, z, 0.0)
        log_s_x = log_s.gather(-1, x.unsqueeze(-1)).squeeze(-1)
        linear = plain * log_s.sum(-1) + (at_x - plain) * log_s_x
        put_at_(log_s, z, -math.inf)
        total = log_s.exp_().sum(-1)
        log_s.sub_(plain.to(log_s.dtype).unsqueeze(-1))
        add_at_(log_s, x, plain - at_x)
        put_at_(log_s, z, 0.0)
        return scale * (total - linear + constant), scale

    def by_kernels(
        self, log_s: Tensor, x: Tensor, z: Tensor, mix: Mix, rate: Mix
    ) -> tuple[Tensor, Tensor]:
        """As `with_gradient`, of outputs that may be bf16: see `diffusion.score_kernels`."""
        from diffusion.score_kernels import score_gradient_, score_sums  # Triton is not everywhere

        plain, at_x, constant, scale = self._ratios(x, z, mix, rate, log_s.shape[-1])
        total, log_sum, log_s_x = score_sums(log_s, x, z)
        linear = plain * log_sum + (at_x - plain) * log_s_x.masked_fill(z == x, 0.0)
        score_gradient_(log_s, x, z, plain, plain - at_x)
        return scale * (total - linear + constant), scale

    @staticmethod
    def _ratios(
        x: Tensor, z: Tensor, mix: Mix, rate: Mix, size: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """r_y of y other than x and z; r_x where x is not z; the sum of r (log r - 1) over y != z;
        sigma' / N; float64."""
        n = mix.noise.double() / size
        same = z == x
        ratio = torch.where(same, n / (n + mix.keep), (n + mix.keep) / n)
        plain = torch.where(same, ratio, 1.0)
        own = torch.xlogy(ratio, ratio) - ratio
        constant = torch.where(same, (size - 1) * own, own - (size - 2))
        return plain, torch.where(same, plain, ratio), constant, -rate.keep / mix.keep / size


masked_score_entropy = MaskedScoreEntropy()
uniform_score_entropy = UniformScoreEntropy()
