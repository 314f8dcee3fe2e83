"""Questions that processes which work together answer with one voice between steps, without waiting
for one another."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributed as dist

Answer = Callable[[], bool]


class Agreement:
    """Whether any process says yes. Of one process it is known at once; the answers of several come
    while the next step is computed, and are looked at when the next question is asked. Each process
    has to ask and look as often."""

    def __init__(self) -> None:
        self._pending: Answer | None = None

    def ask(self, yes: bool, device: torch.device) -> bool:
        """Any process's yes: to this question of a single process, to the one before of several."""
        if not (dist.is_initialized() and dist.get_world_size() > 1):
            return yes
        before = self.look()
        # Filled in on the device: a copy to it would be waited for.
        said = torch.full((1,), int(yes), dtype=torch.int32, device=device)
        work = dist.all_reduce(said, dist.ReduceOp.MAX, async_op=True)
        self._pending = _on_arrival(said, work)
        return before

    def look(self) -> bool:
        """Any process's yes to the last question, where its answers are still to come."""
        pending, self._pending = self._pending, None
        return pending is not None and pending()


def _on_arrival(said: Tensor, work: dist.Work) -> Answer:
    """Waits for what is reduced in `said`, and for nothing that a GPU is given later."""
    if said.device.type == "cpu":

        def reduced() -> bool:
            work.wait()
            return bool(said)

        return reduced
    work.wait()  # the device does, not the host
    copied, event = said.to("cpu", non_blocking=True), torch.Event(said.device)
    event.record()

    def arrived() -> bool:
        event.synchronize()
        return bool(copied)

    return arrived
