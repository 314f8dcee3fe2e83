import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

KERNELS = ("row_kernels", "score_kernels", "divergence_kernels")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of row kernels, by Triton's interpreter on the CPU as the others are, and not left
    behind."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for name in KERNELS:
        sys.modules.pop(f"diffusion.{name}", None)
    yield importlib.import_module("diffusion.row_kernels")
    for name in KERNELS:
        sys.modules.pop(f"diffusion.{name}", None)
