"""Many small operations as one launch, on devices that can record them."""

from collections.abc import Callable

import torch
from torch import Tensor

Work = Callable[[], Tensor]
Recorder = Callable[[Work, torch.device], Work]


def cuda_graph(work: Work, device: torch.device) -> Work:
    """`work`, recorded: each call is one launch of all its kernels, on tensors at the same places,
    and returns the same tensor, whose numbers are good until the next call.

    The work may read nothing on the host, must have the same shapes each time, and is done once
    before it is recorded: libraries make room for themselves then."""
    with torch.cuda.device(device):
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Threads that load data or watch other processes go on with CUDA meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


# By kind of device; on others each operation is called.
RECORDERS: dict[str, Recorder] = {"cuda": cuda_graph}
