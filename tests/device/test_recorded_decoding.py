"""One token after another on a device that can record: the host waits for nothing."""

from tests.modes import forked

PROGRAM = """
import torch
from backbones.dit import DiT
from backbones.replay import RECORDERS
from benchmarks import stand_in
from benchmarks.stand_in import COUNTS, DEVICE
stand_in.start()
torch.manual_seed(0)
network = DiT(20, 16, 12, 2, 2, causal=True)
tokens = torch.randint(20, (3, 12))
expected = network(tokens).detach()
network.to(DEVICE)
kernels = []

def record(work, device):
    assert device == DEVICE

    def counted():
        before = sum(COUNTS.kernels.values())
        result = work()
        kernels.append(sum(COUNTS.kernels.values()) - before)
        return result

    return counted

RECORDERS[DEVICE.type] = record
read, here = network.decoder(12), tokens.to(DEVICE)
hidden = [read(here[:, :4])]
for place in range(4, 12):
    COUNTS.clear()
    hidden.append(read(here[:, place : place + 1]))
    assert not COUNTS.waits, COUNTS.waits
    beside = sum(COUNTS.kernels.values()) - kernels[-1]
    assert place == 4 or beside == 2, COUNTS.kernels  # the token and its place
assert len(kernels) == 8 and len(set(kernels)) == 1 and kernels[0] > 20, kernels
torch.testing.assert_close(torch.cat(hidden, 1).cpu(), expected, rtol=1e-5, atol=1e-5)
"""


def test_a_token_is_read_without_waiting() -> None:
    done = forked.run_text(PROGRAM)
    assert done.returncode == 0, done.stderr
