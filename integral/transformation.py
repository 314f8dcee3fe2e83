"""The diffusion transformation operator as a function that autograd sees through: gamma in, keep
out."""

from pathlib import Path

import torch
from torch import Tensor

from integral.cache import PER_UNIT, table
from integral.quadrature import HIGH, LOW, check_domain, check_vocabulary


class Transformation:
    """keep(gamma) = (N P - 1) / (N - 1) of integral.quadrature, and with torch.func.jvp its
    derivative, right to 2e-13 and 5e-11 of themselves for every gamma of the domain [-8, 8] and N
    up to 256,000 (where they are normal numbers).

    A table of f = log(keep / (1 - keep)), f' and f'' is interpolated by quintics, which join with
    two derivatives; `source` says where it came from, `cache_dir` where it is kept (see
    integral.cache.table)."""

    def __init__(self, vocab_size: int, cache_dir: str | Path | None = None):
        check_vocabulary(vocab_size)
        self.vocab_size = vocab_size
        values, self.source = table(vocab_size, cache_dir)
        quintics = _quintics(torch.from_numpy(values))
        self._on = {quintics.device: quintics}

    def __call__(self, gamma: Tensor) -> Tensor:
        """keep in the shape of `gamma`, float64; ValueError outside the domain."""
        check_domain(gamma)
        return self.inside(gamma)

    def inside(self, gamma: Tensor) -> Tensor:
        """The same of a gamma that is known to lie in the domain: looking waits for a GPU."""
        logit = self._logit(gamma)
        # 1 - sigmoid(-f): the derivative of sigmoid(f), s (1 - s), would cancel where s is near 1.
        return torch.where(logit > 0, 1 - torch.sigmoid(-logit), torch.sigmoid(logit))

    def gamma_at(self, keep: float) -> float:
        """The gamma whose keep is this, by bisection; the nearer end of the domain if there is
        none."""
        if not 0 < keep < 1:
            raise ValueError(f"keep={keep}: must be between 0 and 1")
        low, high = LOW, HIGH
        for _ in range(60):
            middle = (low + high) / 2
            above = bool(self(torch.tensor(middle, dtype=torch.float64)) > keep)
            low, high = (middle, high) if above else (low, middle)
        return (low + high) / 2

    def _logit(self, gamma: Tensor) -> Tensor:
        gamma = gamma.double()
        if gamma.device not in self._on:
            self._on[gamma.device] = next(iter(self._on.values())).to(gamma.device)
        quintics = self._on[gamma.device]
        scaled = (gamma - LOW) * PER_UNIT
        interval = scaled.detach().long().clamp(max=quintics.shape[1] - 1)
        within = scaled - interval
        logit = torch.zeros_like(within)
        for power in reversed(range(len(quintics))):
            logit = logit * within + quintics[power][interval]
        return logit


def _quintics(values: Tensor) -> Tensor:
    """Coefficients (6, intervals) in t = 0..1 of the quintics that take the values, first and
    second derivatives (3, intervals + 1) at their ends."""
    scale = torch.tensor([[1.0], [1 / PER_UNIT], [1 / PER_UNIT**2 / 2]], dtype=values.dtype)
    start, end = (values * scale)[:, :-1], (values * scale)[:, 1:]
    rise = end[0] - start.sum(0)  # what the powers 3, 4, 5 still owe to the value at the end,
    steeper = end[1] - start[1] - 2 * start[2]  # to the derivative
    bend = end[2] - start[2]  # and to half the second derivative
    return torch.stack(
        [
            *start,
            10 * rise - 4 * steeper + bend,
            -15 * rise + 7 * steeper - 2 * bend,
            6 * rise - 3 * steeper + bend,
        ]
    )
