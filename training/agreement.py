"""What processes that work together know of one another: all their values, and, between steps and
without waiting, one answer to a question."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


def world_size() -> int:
    """The number of processes that work together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gathered(value: T) -> list[T]:
    """The value of every process, in order of the ranks; one alone has its own."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


class Agreement:
    """Whether any process says yes. Of one process it is known at once; the answers of several come
    while the next step is computed, and are looked at when the next question is asked. Each process
    has to ask and look as often."""

    def __init__(self) -> None:
        self._pending: tuple[Tensor, Callable[[], object]] | None = None  # the answer, its arrival

    def ask(self, yes: bool, device: torch.device) -> bool:
        """Any process's yes: to this question of a single process, to the one before of several."""
        if world_size() == 1:
            return yes
        before = self.look()
        # Filled in on the device: a copy to it would be waited for.
        said = torch.full((1,), int(yes), dtype=torch.int32, device=device)
        work = dist.all_reduce(said, dist.ReduceOp.MAX, async_op=True)
        if device.type == "cpu":
            self._pending = said, work.wait
            return before
        work.wait()  # the device does, not the host
        said = said.to("cpu", non_blocking=True)
        event = torch.Event(device)  # so that nothing which a GPU is given later is waited for
        event.record()
        self._pending = said, event.synchronize
        return before

    def look(self) -> bool:
        """Any process's yes to the last question, where its answers are still to come."""
        if self._pending is None:
            return False
        said, wait = self._pending
        self._pending = None
        wait()
        return bool(said)
