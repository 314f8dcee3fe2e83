"""Memory of a process: how it is allocated, and its peak."""

import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
RESETS_PEAK = "5"  # of Linux's proc(5), clear_refs
PEAK = "peak_memory_bytes"  # of a checkpoint


def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed for the next allocation, and whether it could be told.

    By default it returns every large array to the system, and the page faults of the next one cost
    more than the arithmetic on it. The arrays of a training step have the same sizes in every step,
    so the process grows to the peak of one step and stays there."""
    mallopt = _of_libc("mallopt")
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def peak_memory_bytes() -> int:
    """The most memory so far: of the current GPU where one is in use, else of the process."""
    on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_initialized() else 0
    if on_gpu:
        return on_gpu
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """Gives free memory back and restarts the count of the peak, where the system can: the peak of
    one part of a process is then none of the next one's."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)
    peak = Path("/proc/self/clear_refs")
    if os.access(peak, os.W_OK):  # some containers have it to read alone, or not at all
        peak.write_text(RESETS_PEAK)


class PeakMemory(L.Callback):
    """Keeps the most memory of a training, over all its starts, in its checkpoints: that of the
    first process, or of its GPU."""

    def __init__(self) -> None:
        self.before = 0

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[PEAK] = max(self.before, peak_memory_bytes())

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.before = checkpoint.get(PEAK, 0)


def _of_libc(name: str) -> Any:
    """A function of glibc's, None for another system or library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
