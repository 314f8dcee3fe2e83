"""D3PM's discrete-time divergence, row by row, with its gradient in place (see diffusion.bound)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.in_place import add_at_, exponentials_
from diffusion.schedule import Mix


@dataclass(frozen=True)
class PosteriorKL:
    """KL(q(z_s | z_t, x) || q(z_s | z_t, p)) of D3PM at rows where z is the mask, p over the N
    tokens and the mask itself, whose mass a is the last output:

    log(1 + keep_t a / mask_t) - c log p(x) - (1 - c) log(1 + keep_s a / mask_s),
    c = (keep_s - keep_t) / mask_t; times `weight` (n,)."""

    def __call__(
        self,
        logits: Tensor,
        x: Tensor,
        z: Tensor,
        now: Mix,
        then: Mix,
        weight: Tensor | float = 1.0,
    ) -> Tensor:
        log_p = logits.log_softmax(-1)
        log_p_x = log_p.gather(-1, x.unsqueeze(-1)).squeeze(-1)
        return weight * self._value(log_p_x, log_p[:, -1], now, then)[0]

    def with_gradient(
        self,
        logits: Tensor,
        x: Tensor,
        z: Tensor,
        now: Mix,
        then: Mix,
        weight: Tensor | float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """As `CrossEntropy.with_gradient`: -c ([x] - p) + d ([mask] - p), d the derivative by log
        a."""
        mask = torch.full_like(x, logits.shape[-1] - 1)
        total, (log_p_x, log_a) = exponentials_(logits, x, mask)
        value, revealed, by_log_a = self._value(log_p_x, log_a, now, then)
        logits.mul_(((revealed - by_log_a) / total).to(logits.dtype).unsqueeze(-1))
        add_at_(logits, x, -revealed)
        add_at_(logits, mask, by_log_a)
        scale = weight * torch.ones_like(value)
        return scale * value, scale

    def by_kernels(
        self,
        logits: Tensor,
        x: Tensor,
        z: Tensor,
        now: Mix,
        then: Mix,
        weight: Tensor | float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """As `with_gradient`, of logits that may be bf16: see `diffusion.row_kernels`."""
        from diffusion.row_kernels import gradient_, row_sums  # Triton is not everywhere

        mask = torch.full_like(x, logits.shape[-1] - 1)
        sums = row_sums(logits, x, mask)
        assert sums.log_p_z is not None
        value, revealed, by_log_a = self._value(sums.log_p_x, sums.log_p_z, now, then)
        gradient_(logits, sums, x, -revealed, revealed - by_log_a, mask, by_log_a)
        scale = weight * torch.ones_like(value)
        return scale * value, scale

    @staticmethod
    def _value(
        log_p_x: Tensor, log_a: Tensor, now: Mix, then: Mix
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The divergence, c, and its derivative by log a, float64."""
        a = log_a.double().exp()
        revealed = (then.keep - now.keep) / now.mask
        odds_now = now.keep / now.mask * a
        # No mask is left at s = 0, and so nothing to be paid for it.
        odds_then = torch.where(then.mask > 0, then.keep / then.mask, 0.0) * a
        value = odds_now.log1p() - revealed * log_p_x - (1 - revealed) * odds_then.log1p()
        by_log_a = odds_now / (1 + odds_now) - (1 - revealed) * odds_then / (1 + odds_then)
        return value, revealed, by_log_a


posterior_kl = PosteriorKL()
