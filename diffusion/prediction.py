"""The distribution of the token at every position, as samplers use it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from diffusion import categorical
from diffusion.chunked import RowFunction, chunked
from diffusion.rows import Column


class Prediction:
    """The distribution p of the token at every position of a batch, computed where it is needed
    from hidden states (B, L, D) and the head; `warper` (see diffusion.logits_warper) bends its
    logits."""

    def __init__(
        self,
        head: nn.Linear,
        hidden: Tensor,
        warper: Callable[[Tensor], Tensor] = lambda logits: logits,
    ):
        self.head = head
        self.hidden = hidden
        self.warper = warper

    @torch.no_grad()
    def apply(
        self,
        fn: RowFunction,
        *columns: Column,
        where: Tensor | None = None,
        count: int | None = None,
    ) -> Tensor:
        """fn(outputs (n, V), *columns (n, ...)) at the positions where `where` (B, L) is True, 0
        elsewhere; the outputs as the network makes them. `count` as in `chunked`."""
        return chunked(fn, self.head, self.hidden, *columns, rows=where, count=count)

    def mass_at(self, z: Tensor, where: Tensor | None = None) -> Tensor:
        """p(z | .) (B, L) float64, 0 where `where` (B, L) is False."""

        def mass(logits: Tensor, token: Tensor) -> Tensor:
            return _log_p(self.warper(logits), token).exp()

        return self.apply(mass, z, where=where)

    def nats_at(self, z: Tensor, where: Tensor | None = None, among: int | None = None) -> Tensor:
        """-log p(z | .) (B, L) float64, 0 where `where` (B, L) is False; `among` as in `draw`."""

        def nats(logits: Tensor, token: Tensor) -> Tensor:
            return -_log_p(self.warper(logits[:, :among]), token)

        return self.apply(nats, z, where=where)

    def draw(
        self, where: Tensor | None = None, among: int | None = None, count: int | None = None
    ) -> Tensor:
        """Tokens (B, L) ~ p at the positions where `where` (B, L) is True, 0 elsewhere, everywhere
        without it; `among` the first so many outputs only. `count` as in `chunked`."""

        def tokens(logits: Tensor) -> Tensor:
            return categorical.draw(self.warper(logits[:, :among]))

        return self.apply(tokens, where=where, count=count).long()

    def likeliest(self, where: Tensor, among: int | None = None) -> Tensor:
        """argmax p (B, L) where `where` is True, 0 elsewhere; `among` as in `draw`."""
        return self.apply(lambda logits: logits[:, :among].argmax(-1), where=where).long()


def _log_p(logits: Tensor, token: Tensor) -> Tensor:
    """(n,) float64 of logits (n, V) and tokens (n,)."""
    log_p = logits.gather(-1, token.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
    return log_p.double()
