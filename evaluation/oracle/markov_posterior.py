"""The law of each symbol of a Markov text given noisy versions of all others: forward and
backward messages, in float64.

A context is the number whose digits are `order` symbols, the oldest first; `transition` (S, n) has
p(next | context), `stationary` (S,) the law of contexts. Symbols are 0..n-1. A noisy text z (B, L)
has the likelihoods keep [z = x] + rest: a level is keep (B, 1) or (B, L) and rest (B, L), the mass
that the noise puts on z whatever the symbol is. The first symbol of a text follows nothing that is
seen."""

import torch
from torch import Tensor, nn

LEAST = 1e-150  # of what divides: its square and its product with a likelihood are numbers still
HELD = 2**25  # message entries of all positions at once


def log_law(joint: Tensor) -> Tensor:
    """log of joint (..., n) over its sum; uniform where the sum is zero, as for what cannot be."""
    total = joint.sum(-1, keepdim=True)
    law = torch.where(total > 0, joint / total.clamp_min(LEAST), 1 / joint.shape[-1])
    return law.log()


class ContextMessages(nn.Module):
    """log p(x_l | z without l) of all positions by one pass in each direction over the contexts:
    O(B L S n), for any order.

    Messages are renewed to sum one at every position, so that nothing under- or overflows; sums of
    what is not negative keep their relative error, some 1e-16 a position."""

    stationary: Tensor
    steps: Tensor
    back: Tensor

    def __init__(self, transition: Tensor, stationary: Tensor):
        super().__init__()
        size, symbols = transition.shape
        shape = (symbols, size // symbols, symbols)  # (oldest, the rest of the context, next)
        self.symbols = symbols
        steps = transition.double().view(shape).transpose(0, 1).contiguous()
        self.register_buffer("stationary", stationary.double())
        self.register_buffer("steps", steps)
        self.register_buffer("back", steps.transpose(1, 2).contiguous())

    def hidden(self, z: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
        """log p(x_l | z without l) (B, L, n), what `log_p` takes rows of."""
        size = max(1, HELD // (z.shape[1] * len(self.stationary)))
        parts = zip(z.split(size), keep.split(size), rest.split(size), strict=True)
        return torch.cat([self._laws(*part) for part in parts])

    def log_p(self, hidden: Tensor) -> Tensor:
        """(r, n) of rows (r, n) of `hidden`."""
        return hidden

    def _laws(self, z: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
        emissions = self._given(z, keep, rest)
        before = self._before(emissions)
        after = torch.ones_like(before[0])  # (C, B, n): p(what follows | the context there)
        laws = torch.empty_like(emissions)
        for position in reversed(range(z.shape[1])):
            laws[:, position] = (before[position] * after).sum(0)
            seen = after * emissions[:, position]
            after = _oldest_last(torch.bmm(seen, self.back))
            after = _scaled(after, torch.ones_like(after))
        return log_law(laws)

    def _given(self, z: Tensor, keep: Tensor, rest: Tensor) -> Tensor:
        """(B, L, n) p(z_l | x_l)."""
        emissions = rest.unsqueeze(-1).repeat(1, 1, self.symbols)
        unnoised = (keep * (z < self.symbols)).unsqueeze(-1)
        return emissions.scatter_add(-1, z.clamp_max(self.symbols - 1).unsqueeze(-1), unnoised)

    def _before(self, emissions: Tensor) -> list[Tensor]:
        """For each position (C, B, n): p(context there, its last symbol | z before it)."""
        count, length, _ = emissions.shape
        inner = len(self.steps)
        context = self.stationary.view(self.symbols, inner).T.unsqueeze(1)
        context = context.expand(-1, count, -1)  # (C, B, oldest)
        messages = []
        for position in range(length):
            message = torch.bmm(context, self.steps)
            messages.append(message)
            seen = message * emissions[:, position]
            context = _oldest_first(_scaled(seen, emissions[:, position].expand_as(seen)))
        return messages


def _oldest_first(message: Tensor) -> Tensor:
    """Contexts by (all but the last symbol, B, last) as (all but the oldest, B, oldest)."""
    inner, count, symbols = message.shape
    whole = message.transpose(0, 1).reshape(count, symbols, inner)
    return whole.permute(2, 0, 1)


def _oldest_last(message: Tensor) -> Tensor:
    """The way back: (all but the oldest, B, oldest) as (all but the last symbol, B, last)."""
    inner, count, symbols = message.shape
    whole = message.permute(1, 2, 0).reshape(count, inner, symbols)
    return whole.transpose(0, 1)


def _scaled(message: Tensor, otherwise: Tensor) -> Tensor:
    """A message (C, B, n) of sum one; of what cannot be, `otherwise` stands in."""
    total = message.sum((0, 2), keepdim=True)
    possible = torch.where(total > 0, message, otherwise)
    return possible / possible.sum((0, 2), keepdim=True).clamp_min(LEAST)
