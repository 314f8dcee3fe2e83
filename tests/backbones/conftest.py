"""A small network whose every parameter is random, so that no zero initialisation hides a path."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from backbones.dit import DiT

SMALL: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 32,
    "cond_dim": 16,
    "length": 24,
    "n_blocks": 2,
    "n_heads": 4,
}


@pytest.fixture
def build() -> Callable[..., DiT]:
    def make(**changes: Any) -> DiT:
        torch.manual_seed(0)
        net = DiT(**(SMALL | changes))
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                centre = 1.0 if "norm" in name else 0.0
                parameter.normal_(centre, 0.15)
        return net.eval()

    return make


@pytest.fixture
def tokens() -> torch.Tensor:
    """(3, 10), the mask 11 among them."""
    return torch.randint(0, 12, (3, 10), generator=torch.Generator().manual_seed(1))
