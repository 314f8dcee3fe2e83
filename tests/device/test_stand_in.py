"""The stand-in of a device refuses and counts what a GPU would."""

from tests.modes import forked

PROGRAM = """
import torch
from benchmarks import stand_in
from benchmarks.stand_in import COUNTS, DEVICE
stand_in.start()

def refused(work, words):
    try:
        work()
    except (RuntimeError, TypeError) as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)

def waits(work):
    COUNTS.clear()
    work()
    return sum(COUNTS.waits.values())

x = torch.arange(6.0, device=DEVICE).view(2, 3)
assert x.device == DEVICE and (x + 1).device == DEVICE and x.cpu().device.type == "cpu"
refused(lambda: x + torch.ones(3), "at least two devices")
refused(lambda: torch.cat([x, torch.ones(1, 3)]), "at least two devices")
refused(lambda: x @ torch.ones(3, 1), "at least two devices")
refused(lambda: x.numpy(), "numpy")
assert (x * torch.tensor(2.0)).cpu().tolist() == [[0, 2, 4], [6, 8, 10]]  # a number is allowed

assert waits(lambda: x.sum()) == 0
assert waits(lambda: float(x.sum())) == 1
assert waits(lambda: x.tolist()) == 1
assert waits(lambda: x.nonzero()) == 1
assert waits(lambda: x.nonzero_static(size=5)) == 0
assert waits(lambda: x[x > 2]) == 1
assert waits(lambda: x[torch.tensor([0])]) == 1  # indices on the CPU are copied
assert waits(lambda: torch.tensor([1.0], device=DEVICE)) == 1
assert waits(lambda: torch.ones(3).to(DEVICE, non_blocking=True)) == 0
assert waits(lambda: torch.full((2,), 3.0, device=DEVICE)) == 0

COUNTS.clear()
y = x + 1
z = y.view(3, 2)
assert sum(COUNTS.kernels.values()) == 1 and sum(COUNTS.bytes.values()) == 48

layer = torch.nn.Linear(3, 2)
expected = layer(x.cpu()).sum()
expected.backward()
gradient = layer.weight.grad.clone()
layer.zero_grad()
layer.to(DEVICE)
with torch.autocast(DEVICE.type, torch.bfloat16):
    assert layer(x).dtype == torch.bfloat16
    layer(x).sum().backward()
assert layer.weight.grad.device == DEVICE
torch.testing.assert_close(layer.weight.grad.cpu(), gradient)
"""


def test_stand_in_refuses_and_counts_what_a_gpu_would() -> None:
    done = forked.run_text(PROGRAM)
    assert done.returncode == 0, done.stderr
