"""Calls that Linux alone has are left out elsewhere, and Apple's GPUs are not taken for CUDA's."""

import ctypes
import sys
from pathlib import Path

import pytest
from lightning.pytorch.accelerators import MPSAccelerator

from evaluation import records
from modes import devices
from training import memory


def test_apples_gpus_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [devices.accelerator(name) for name in ("auto", "gpu")] == ["auto", "gpu"]
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    assert [devices.accelerator(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    for name in ("mps", "gpu"):
        with pytest.raises(ValueError, match=rf"trainer\.accelerator={name}: .*no float64"):
            devices.accelerator(name)


def test_a_mac_has_neither_glibc_nor_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: object) -> None:
        raise AssertionError("no library of Linux's is asked")

    kilobytes = memory.peak_memory_bytes()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert memory.keep_freed_memory() is False
    memory.forget_peak()
    assert memory.peak_memory_bytes() * 1024 >= kilobytes  # it counts bytes there
    assert records._cpu_model()
