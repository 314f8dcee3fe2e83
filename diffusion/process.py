"""The forward process and its posterior, for every mixture of keeping, masking and uniform
noise."""

import torch
from torch import Tensor

from diffusion.schedule import Mix, Schedule


class Process:
    """A schedule over a vocabulary of `vocab_size` = N ordinary tokens; the mask is the id N.

    `predicts_mask` says that predictions p(. | z) are over N + 1 states, as D3PM's."""

    def __init__(self, schedule: Schedule, vocab_size: int, predicts_mask: bool = False):
        self.schedule = schedule
        self.vocab_size = vocab_size
        self.mask = vocab_size
        self.predicts_mask = predicts_mask
        middle = schedule(torch.tensor([0.5], dtype=torch.float64))
        self.has_noise = bool(middle.noise > 0)
        self.has_mask = bool(middle.mask > 0)
        # whether the chance of some state to jump depends on the prediction
        self.asks = self.has_noise or predicts_mask

    def mix(self, t: Tensor) -> tuple[Mix, Mix]:
        """The mixture at times t (B,) or (B, L) and its time derivative, float64; each broadcasts
        to (B, L)."""
        t = t.double().contiguous()  # jvp takes no expanded view
        value, rate, *_ = torch.func.jvp(self.schedule, (t,), (torch.ones_like(t),))
        return value, rate

    def at(self, z: Tensor, mix: Mix) -> Tensor:
        """b(z): the mass that the noise, not the data, puts on the state z (B, L)."""
        return torch.where(z == self.mask, mix.mask, mix.noise / self.vocab_size)

    def noise(
        self, shape: tuple[int, int], t: Tensor, uniform: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Which positions (B, L) stay what they are at times t (B,) or (B, L), and what stands at
        the others.

        `uniform` (2, B, L) float64 in [0, 1) replaces the global generator."""
        mix = self.schedule(t.double())
        if uniform is None:
            uniform = torch.rand((2, *shape), dtype=torch.float64, device=t.device)
        coin, which = uniform
        token = (
            which * self.vocab_size
        ).long()  # float64: every one of N tokens to 1 part in 2^53 / N
        return coin < mix.keep, torch.where(coin < mix.keep + mix.mask, self.mask, token)

    def corrupt(self, x: Tensor, t: Tensor, uniform: Tensor | None = None) -> Tensor:
        """z ~ q_t(. | x) for x (B, L) at times t (B,) or (B, L)."""
        kept, other = self.noise((x.shape[0], x.shape[1]), t, uniform)
        return torch.where(kept, x, other)

    def prior(self, shape: tuple[int, int], device: torch.device | str | None = None) -> Tensor:
        """(B, L) pure noise: what is left of any text at t = 1."""
        t = torch.ones(shape[0], dtype=torch.float64, device=device)
        mix = self.schedule(t)
        uniform = torch.rand((2, *shape), dtype=torch.float64, device=device)
        masked = uniform[0] * (mix.mask + mix.noise) < mix.mask
        return torch.where(masked, self.mask, (uniform[1] * self.vocab_size).long())

    def needs_prediction(self, z: Tensor) -> Tensor:
        """(B, L) bool: where the chance to jump depends on the mass p(z | z) of the prediction."""
        masked = z == self.mask
        return (~masked & self.has_noise) | (masked & self.predicts_mask)

    def jump(self, z: Tensor, at_input: Tensor | float, t: Tensor, s: Tensor) -> Tensor:
        """rho (B, L) of q(z_s | z_t, p) = (1 - rho) [z_s = z_t] + rho q_s(z_s | p), float64, for
        times s < t, (B,) or (B, L) each.

        rho = (b_t - keep_t / keep_s b_s)(z) / (keep_t p(z) + b_t(z)); at_input is the prediction's
        p(z | z), which plays no part where `needs_prediction` is False."""
        now, then = self.schedule(t.double()), self.schedule(s.double())
        b = self.at(z, now)
        gained = b - now.keep / then.keep * self.at(z, then)
        total = b + torch.where(self.needs_prediction(z), now.keep * at_input, 0.0)
        return torch.where(gained > 0, gained / total, 0.0)
