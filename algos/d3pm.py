"""D3PM (Austin et al., arXiv 2107.03006) with absorbing noise, in discrete time."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from algos import settings
from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm, Noised
from algos.facts import FACTS
from algos.noise import by_alpha
from diffusion.chunked import chunked
from diffusion.posterior_kl import posterior_kl
from diffusion.process import Process
from diffusion.schedule import Absorbing, Alpha, Closed, Mix, per_position
from schema.check import check_values

MASKS, TEXT = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)  # mixtures of nothing else


class D3PM(DiffusionAlgorithm):
    """-log p(x) <= sum over t = 1/T .. 1 of KL(q(z_s | z_t, x) || q(z_s | z_t, p)) - log p(x | x),
    s = t - 1/T, alpha = 1 - t.

    The network has the mask among its outputs and sees sigma. In training one text of
    `reconstruct_one_in` has the last term, for which the network sees the clean text, weighted
    accordingly: the same in expectation, for less. Nothing in it is random, so in an evaluation
    each text has it in one of the passes, weighted with their number: the same mean."""

    facts = FACTS["d3pm"]

    def __init__(
        self,
        alpha: Alpha,
        vocab_size: int,
        T: int = 1000,
        reconstruct_one_in: int = 4,
        **diffusion: Any,
    ):
        check_values(settings.D3PM, "algo", T=T, reconstruct_one_in=reconstruct_one_in)
        processes = by_alpha(Absorbing, alpha, vocab_size)
        exact = Process(Absorbing(Closed(alpha)), vocab_size, predicts_mask=True)
        processes |= {"process": exact, "training_process": exact}
        super().__init__(steps=T, **processes, **diffusion)
        self.reconstruct_one_in = reconstruct_one_in
        self.clean_share = 1 / reconstruct_one_in

    def objective(self, batch: Batch) -> Tensor:
        return self.terms(batch, self.training_noise(batch), self.reconstruct_one_in)

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        noised = self.evaluation_noise(batch, draws)
        return self.terms(batch, noised, draws.passes, draws.number)

    def terms(self, batch: Batch, noised: Noised, one_in: int, turn: int = 0) -> Tensor:
        """(B, L) T times the divergence of one step, which is the sum of all in expectation, plus
        -log p(x | z_0 = x) of every text whose `turn` it is among `one_in`, so many times; all in
        one pass.

        The latter is the divergence of a step from nothing but masks to nothing but text."""
        assert self.steps is not None
        process, t, z, weight = noised
        x, turns = batch["tokens"], ((batch["index"].cpu() - turn) % one_in == 0).nonzero()
        clean = turns.squeeze(-1).to(x.device, non_blocking=True)
        now, then = process.mix(t)[0], process.mix((t - 1 / self.steps).clamp_min(0))[0]
        columns = (
            torch.cat([x, x[clean]]),
            torch.cat([z, x[clean]]),
            Mix(*(_followed(*pair, len(clean)) for pair in zip(now, MASKS, strict=True))),
            Mix(*(_followed(*pair, len(clean)) for pair in zip(then, TEXT, strict=True))),
            per_position(_followed(self.steps * weight * torch.ones_like(t), one_in, len(clean))),
        )
        rows = torch.cat([self.rows(batch, noised), self.scored(batch)[clean]])
        hidden = self.hidden(
            columns[1], _followed(t, 0.0, len(clean)), **self._dropout(batch, turns.squeeze(-1))
        )
        values = chunked(posterior_kl, self.backbone.head, hidden, *columns, rows=rows)
        added: Tensor = _Added.apply(values, clean)
        return added

    def _dropout(self, batch: Batch, clean: Tensor) -> dict[str, Tensor]:
        """As `dropout`; a clean text, number `clean` (C,) on the CPU, has its own, beside that of
        the noised one."""
        return {  # a block adds its number
            key: torch.cat([seeds, seeds[clean] + len(self.backbone.blocks)])
            for key, seeds in self.dropout(batch).items()
        }

    def ideal_outputs(self, log_p: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Where a token stands, it is the clean one."""
        seen = F.one_hot(z, self.vocab_size + 1).to(log_p.dtype)[..., :-1].log()
        known = torch.where((z == self.process.mask).unsqueeze(-1), log_p, seen)
        return F.pad(known, (0, 1), value=-torch.inf)


class _Added(torch.autograd.Function):
    """Values of texts (B, L), and behind them those of the texts number `clean` (C,) once more,
    added up. The gradient of a sum stays one number that is expanded, as `chunked` likes it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, clean: Tensor) -> Tensor:
        ctx.clean, count = clean, len(values) - len(clean)
        return values[:count].index_add(0, clean, values[count:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor, None]:
        count, length = factors.shape
        if not any(factors.stride()):
            return factors[:1, :1].expand(count + len(ctx.clean), length), None
        return torch.cat([factors, factors[ctx.clean]]), None


def _followed(values: Tensor, value: float, count: int) -> Tensor:
    """The values of a batch (B, ...), and `count` texts with `value` behind them."""
    return torch.cat([values, values.new_full((count, *values.shape[1:]), value)])
