"""The posterior of `markov_posterior` for a chain of order one that forgets fast, without a matrix
product at any position: what is left of a symbol k positions on is one row of the k-th power."""

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.oracle.markov_posterior import LEAST, ContextMessages, log_law

FORGOTTEN = 1e-8  # how near one power / stationary is where a symbol plays no part any more
SHORT = 8  # a memory is worth it below this part of the number of symbols


class FadingMessages:
    """log p(x_l | z without l) as a product of two mixtures: sum_k w_k T^k[z_{l-k}, x], and the
    same of the reversed chain for what follows, over the stationary law.

    A symbol seen with likelihoods keep [z = x] + rest turns the law a of the next one into rest a T
    + keep a(z) T[z, .]: the weights move one place on, and one joins them. O(B L K) numbers say
    all; a law over the symbols is made of them only where it is asked for. K is the number of steps
    after which T^K is the stationary law to 1e-8 of itself. Powers are kept in float32, weights and
    sums over the symbols in float64: laws are right to some 1e-6 of themselves."""

    def __init__(self, powers: Tensor, stationary: Tensor):
        """powers (K, n, n) T, T^2, ..."""
        self.memory, self.symbols, _ = powers.shape
        self.stationary = stationary.double()
        # Bayes: R^k[y, x] = stationary[x] T^k[x, y] / stationary[y]
        back = (powers * self.stationary.unsqueeze(-1)).transpose(1, 2)
        back = back / self.stationary.clamp_min(LEAST).unsqueeze(-1)
        rows = torch.cat([powers, back]).flatten(0, 1)
        # (2 K n + 1, n) float32: mixtures of rows have no cancellation to lose digits in
        self.table = torch.cat([rows, self.stationary.unsqueeze(0)]).float()
        per_symbol = self.stationary.clamp_min(LEAST)
        self.inverse = torch.where(self.stationary > 0, 1 / per_symbol, 0.0)

    def hidden(self, z: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
        """(B, L, 4 K + 4): the rows and weights of both mixtures; `log_p` makes laws of them."""
        both = torch.cat([z, z.flip(1)])
        rows = self._rows(both)
        keep = keep.expand(z.shape)
        kept, rested = (torch.cat([part, part.flip(1)]) for part in (keep, rest))
        weights = self._weights(both, kept, rested, rows)
        sides = torch.cat([rows.double(), weights], -1)
        ahead, behind = sides[: len(z)], sides[len(z) :].flip(1)
        return torch.cat([ahead, behind], -1)

    def log_p(self, hidden: Tensor) -> Tensor:
        """(r, n) of rows (r, 4 K + 4) of `hidden`."""
        ahead, behind = (self._mixture(side) for side in hidden.chunk(2, -1))
        return log_law(ahead.double().mul_(behind).mul_(self.inverse))

    def _mixture(self, side: Tensor) -> Tensor:
        rows, weights = side.chunk(2, -1)
        return F.embedding_bag(
            rows.long(), self.table, per_sample_weights=weights.float(), mode="sum"
        )

    def _rows(self, z: Tensor) -> Tensor:
        """(2 B, L, K + 1) rows of the table: T^k[z_{l-k}] for k = 1 .. K, then the stationary law;
        the second half of the texts, which run backwards, in R."""
        symbol = torch.where(z < self.symbols, z, 0)
        past = F.pad(symbol, (self.memory, 0))[:, :-1].unfold(1, self.memory, 1).flip(-1)
        offset = torch.arange(self.memory) * self.symbols
        backwards = torch.arange(len(z)) >= len(z) // 2
        start = backwards.long().view(-1, 1, 1) * (self.memory * self.symbols)
        rows = past + offset + start  # (2 B, L, K)
        return F.pad(rows, (0, 1), value=len(self.table) - 1)

    def _weights(self, z: Tensor, keep: Tensor, rest: Tensor, rows: Tensor) -> Tensor:
        """(2 B, L, K + 1) weights of the rows, of sum one at each position."""
        symbol = torch.where(z < self.symbols, z, 0)
        at_symbol = self.table.flatten()[rows * self.symbols + symbol.unsqueeze(-1)].double()
        # A token without noise is known, also where nothing is left of it or it cannot be.
        unnoised = (keep * (z < self.symbols)).clamp_min(LEAST) * (z < self.symbols)
        now = torch.zeros_like(at_symbol[:, 0])
        now[:, -1] = 1  # before the text nothing is known
        weights = torch.empty_like(at_symbol)
        for position in range(z.shape[1]):
            weights[:, position] = now
            odds = torch.linalg.vecdot(now, at_symbol[:, position]).clamp_min(LEAST)
            seen = unnoised[:, position] * odds
            total = (seen + rest[:, position]).clamp_min(LEAST * LEAST)
            moved = now * (rest[:, position] / total).unsqueeze(-1)
            forgotten = moved[:, -2:].sum(-1)
            now = torch.cat(
                [(seen / total).unsqueeze(-1), moved[:, :-2], forgotten.unsqueeze(-1)], -1
            )
        return weights


def messages(transition: Tensor, stationary: Tensor) -> ContextMessages | FadingMessages:
    """The faster of the two for this language."""
    size, symbols = transition.shape
    if size == symbols and bool((stationary > 0).all()):
        powers = [transition.double()]
        while len(powers) < symbols // SHORT:
            left = (powers[-1] / stationary - 1).abs().amax()
            if left < FORGOTTEN:
                return FadingMessages(torch.stack(powers), stationary)
            powers.append(powers[-1] @ powers[0])
    return ContextMessages(transition, stationary)
