"""Shared by the tests of Triton kernels, which are skipped where Triton is not installed (it comes
with a CUDA torch)."""

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

INTERPRETED = [
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore:.*:UserWarning:triton"),
]
# A bf16 number is off by 2^-9 of itself; the interpreter cuts digits off where a GPU rounds: 2^-7.
CLOSE = {torch.float32: 2e-6, torch.bfloat16: 2**-7}


def logits_of(rows: int, size: int, dtype: torch.dtype) -> Tensor:
    """Rows that begin further apart than they are long, as those of padded products."""
    return (3 * torch.randn(rows, size + 11)).to(dtype)[:, :size]
