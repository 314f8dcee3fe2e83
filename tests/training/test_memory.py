import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from training.memory import (
    PEAK,
    PeakMemory,
    forget_peak,
    keep_freed_memory,
    peak_memory_bytes,
)

ONLY_LINUX = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").is_file(), reason="needs Linux's /proc"
)
SLACK = 1 << 20  # the kernel sums its counts of several threads now and then


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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


@ONLY_LINUX
def test_peak_memory_is_between_what_is_held_and_what_there_is():
    held = np.ones(4 << 20)
    assert held.nbytes < resident_bytes() <= peak_memory_bytes() + SLACK
    assert peak_memory_bytes() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@ONLY_LINUX
def test_a_forgotten_peak_is_that_of_what_comes_after():
    large = np.ones(1 << 25)  # 256 MB
    before = peak_memory_bytes()
    del large
    forget_peak()
    assert peak_memory_bytes() < before - (200 << 20)
    assert resident_bytes() <= peak_memory_bytes() + SLACK
    again = np.ones(1 << 24)
    assert peak_memory_bytes() > again.nbytes


def test_a_system_that_cannot_forget_is_left_alone(monkeypatch):
    def refuse(path, text):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    forget_peak()


def test_a_run_that_goes_on_keeps_the_larger_peak():
    checkpoint = {PEAK: 1 << 60}
    memory = PeakMemory()
    memory.on_load_checkpoint(None, None, checkpoint)
    saved = {}
    memory.on_save_checkpoint(None, None, saved)
    assert saved == checkpoint
    first = {}
    PeakMemory().on_save_checkpoint(None, None, first)
    assert 0 < first[PEAK] < 1 << 60
    older = PeakMemory()
    older.on_load_checkpoint(None, None, {})
    older.on_save_checkpoint(None, None, saved)
    assert saved == first
