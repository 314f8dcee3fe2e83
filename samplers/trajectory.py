"""The states of the first texts of a batch after every step of their sampling."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Trajectory(NamedTuple):
    """One text while it is made: the tokens of every state, the first one before the first step,
    the time of each (None where there is none), and which positions are given."""

    states: Sequence[Sequence[int]]
    times: Sequence[float | None]
    fixed: Sequence[bool]


class Trace:
    """The states of the first `count` texts: lists of (count, L) tokens, and the time of each where
    there is one."""

    def __init__(self, count: int, mask: int):
        self.count = count
        self.mask = mask
        self.states: list[list[list[int]]] = []
        self.times: list[float | None] = []
        self.fixed: list[list[bool]] = []

    def trajectories(self) -> list[Trajectory]:
        """Of each text by itself."""
        each = zip(zip(*self.states, strict=True), self.fixed, strict=True)
        return [Trajectory(states, self.times, fixed) for states, fixed in each]

    def of(
        self, loop: Callable[..., Tensor], grid: Tensor | None, fixed: Tensor
    ) -> Callable[..., Tensor]:
        """The loop, which follows `grid` if any, watched; for texts in which `fixed` (B, L) is
        given."""
        self.fixed = fixed[: self.count].tolist()

        def watched(*arguments: Any, **options: Any) -> Tensor:
            if "clamp" in options:
                options["clamp"] = self._watching(options["clamp"])
            z = loop(*arguments, **options)
            if "clamp" not in options:
                self._left_to_right(z, fixed)
            times: list[float | None] = [] if grid is None else grid.tolist()
            # A sampler without a clock of its own, or one that looks once more at its end.
            self.times = (times + [0.0] * len(self.states))[: len(self.states)]
            if grid is None:
                self.times = [None] * len(self.states)
            return z

        return watched

    def _watching(self, clamp: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def clamped(z: Tensor) -> Tensor:
            z = clamp(z)
            self.states.append(z[: self.count].tolist())
            return z

        return clamped

    def _left_to_right(self, z: Tensor, fixed: Tensor) -> None:
        """The states of texts that were drawn from left to right, token by token."""
        z, places = z[: self.count], torch.arange(z.shape[1], device=z.device)
        for end in range(int(fixed[: self.count].sum(-1).min()), z.shape[1] + 1):
            shown = fixed[: self.count] | (places < end)
            self.states.append(torch.where(shown, z, self.mask).tolist())
