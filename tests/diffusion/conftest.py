import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

import pytest

KERNELS = ("row_kernels", "score_kernels", "divergence_kernels")


# Triton's own functions are made for its interpreter, or not, when it is imported first, which
# torch.compile may do before a kernel is tested.
if find_spec("triton") is not None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        importlib.import_module("triton.language")


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
