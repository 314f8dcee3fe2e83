import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

KERNELS = ("diffusion.row_kernels", "diffusion.score_kernels", "diffusion.divergence_kernels")
INTERPRETED: dict[str, ModuleType] = {}  # what `taken` took at the end of the last test


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of row kernels, by Triton's interpreter on the CPU as the others are. What the
    variable says when Triton is imported, which torch may have done before, its own functions keep:
    they are imported once more for these tests, and put back behind them for those of a GPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    usual = taken()
    sys.modules.update(INTERPRETED)
    yield importlib.import_module("diffusion.row_kernels")
    INTERPRETED.update(taken())
    sys.modules.update(usual)


def taken() -> dict[str, ModuleType]:
    """Triton's modules in Python and those of kernels, which are imported no more."""
    names = [name for name in sys.modules if name in KERNELS or name.split(".")[0] == "triton"]
    return {name: sys.modules.pop(name) for name in names if not name.startswith("triton._C")}
