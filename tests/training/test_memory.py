import ctypes
import sys
from types import SimpleNamespace

import pytest

from training.memory import keep_freed_memory


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_glibc_takes_the_settings(monkeypatch):
    told = []
    library = SimpleNamespace(mallopt=lambda *setting: told.append(setting) or 1)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory()
    assert [parameter for parameter, _ in told] == [-4, -1]  # M_MMAP_MAX, M_TRIM_THRESHOLD


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not keep_freed_memory()
