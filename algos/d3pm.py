"""D3PM (Austin et al., arXiv 2107.03006) with absorbing noise, in discrete time."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import Batch, DiffusionAlgorithm, Noised
from algos.noise import by_alpha
from diffusion.bound import next_token_nats
from diffusion.chunked import chunked
from diffusion.posterior_kl import posterior_kl
from diffusion.process import Process
from diffusion.schedule import Alpha, absorbing, closed


class D3PM(DiffusionAlgorithm):
    """-log p(x) <= sum over t = 1/T .. 1 of KL(q(z_s | z_t, x) || q(z_s | z_t, p)) - log p(x | x),
    s = t - 1/T, alpha = 1 - t.

    The network has the mask among its outputs and sees sigma; the last term, of the clean text, is
    an evaluation of its own."""

    outputs_mask = True

    def __init__(self, alpha: Alpha, vocab_size: int, T: int = 1000, **diffusion: Any):
        if T < 2:
            raise ValueError(f"algo.T={T}: at least 2 steps of time are needed")
        processes = by_alpha(absorbing, alpha, vocab_size)
        exact = Process(partial(absorbing, alpha=closed(alpha)), vocab_size, predicts_mask=True)
        processes |= {"process": exact, "training_process": exact}
        super().__init__(steps=T, **processes, **diffusion)

    def objective(self, batch: Batch) -> Tensor:
        return self.steps_nats(batch, self.training_noise(batch)) + self.reconstruction(batch)

    def nll(self, batch: Batch) -> Tensor:
        return self.steps_nats(batch, self.evaluation_noise(batch)) + self.reconstruction(batch)

    def steps_nats(self, batch: Batch, noised: Noised) -> Tensor:
        """(B, L) T times the divergence of one step, which is the sum of all in expectation."""
        assert self.steps is not None
        process, t, z, weight = noised
        now, then = process.mix(t)[0], process.mix((t - 1 / self.steps).clamp_min(0))[0]
        columns, rows = (batch["tokens"], z, now, then), self.rows(batch, noised)
        head = self.backbone.head
        values = chunked(posterior_kl, head, self.hidden(z, t), *columns, rows=rows)
        return values * self.steps * weight.unsqueeze(-1)

    def reconstruction(self, batch: Batch) -> Tensor:
        """(B, L) -log p(x | z_0 = x) at t = 0."""
        x = batch["tokens"]
        hidden = self.hidden(x, torch.zeros(len(x), dtype=torch.float64, device=x.device))
        return chunked(next_token_nats, self.backbone.head, hidden, x, rows=self.scored(batch))

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Where a token stands, it is the clean one."""
        seen = F.one_hot(z, self.vocab_size + 1).to(log_p.dtype)[..., :-1].log()
        known = torch.where((z == self.process.mask).unsqueeze(-1), log_p, seen)
        return F.pad(known, (0, 1), value=-torch.inf)
