"""A network that is a table of outputs for every text there is, asked as a real one is."""

import numpy as np
import torch
from torch import Tensor, nn

from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from tests.diffusion import brute_force
from tests.samplers.exact_network import codes


def head(outputs: int) -> nn.Linear:
    """Hands on what it is given."""
    layer = nn.Linear(outputs, outputs).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(outputs))
        layer.bias.zero_()
    return layer


class TableNetwork:
    """denoise(z, t): random outputs (S^L, L, V), S = N + 1, the same at all times."""

    def __init__(
        self,
        size: int,
        length: int,
        outputs: int,
        seed: int,
        spread: float = 1.0,
        warper: LogitsWarper | None = None,
    ):
        generator = torch.Generator().manual_seed(seed)
        shape = ((size + 1) ** length, length, outputs)
        self.outputs = spread * torch.randn(shape, generator=generator, dtype=torch.float64)
        self.head = head(outputs)
        self.states = size + 1
        self.warper = warper or LogitsWarper()
        self.calls: list[float] = []

    def __call__(self, z: Tensor, t: Tensor, rows: Tensor | None = None) -> Prediction:
        assert t.shape == (len(z),) and bool((t == t[0]).all())
        self.calls.append(float(t[0]))
        return Prediction(self.head, self.outputs[codes(z, self.states)], self.warper)

    def law(self) -> np.ndarray:
        """(S^L, L, V) probabilities."""
        return self.outputs.softmax(-1).numpy()


def counts_of(z: Tensor, states: int) -> np.ndarray:
    """How often each text (B, L) occurs."""
    return np.bincount(codes(z, states), minlength=states ** z.shape[1])


def follows(sampler, network, process, text, grid, kernel, count=60_000, **options) -> bool:
    """Whether `sampler` leads from a text along the grid as the row of the kernel says."""
    z = torch.tensor(text).repeat(count, 1)
    reached = sampler(network, process, z, grid, **options)
    start = int(codes(z[:1], network.states))
    return brute_force.agrees(counts_of(reached, network.states), kernel[start])
