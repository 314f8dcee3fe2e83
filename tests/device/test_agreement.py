"""On a device the agreement of several processes is copied to the host as soon as it is there, and
waited for up to that copy alone."""

from tests.modes import forked

PROGRAM = """
import torch
from torch import distributed as dist
from benchmarks import stand_in
from benchmarks.stand_in import COUNTS, DEVICE
from training.agreement import Agreement
stand_in.start()
done = []

class Work:
    def wait(self):
        done.append("the device waits")

class Event:
    def __init__(self, device):
        assert device == DEVICE

    def record(self):
        done.append("recorded")

    def synchronize(self):
        done.append("looked at")

def all_reduce(said, how, async_op):
    assert said.device == DEVICE and how == dist.ReduceOp.MAX and async_op
    if yes_of_others.pop(0):
        said.fill_(1)
    return Work()

dist.is_initialized, dist.get_world_size = lambda: True, lambda: 2
dist.all_reduce, torch.Event = all_reduce, Event
yes_of_others = [False, True, False, False]
agreement = Agreement()
COUNTS.clear()
answers = [agreement.ask(own, DEVICE) for own in (False, False, True, False)]
assert answers == [False, False, True, True], answers
assert not agreement.look()
assert not COUNTS.waits, COUNTS.waits
once = ["the device waits", "recorded"]
assert done == [*once, *(["looked at", *once] * 3), "looked at"], done
"""


def test_a_device_is_not_waited_for() -> None:
    done = forked.run_text(PROGRAM)
    assert done.returncode == 0, done.stderr
