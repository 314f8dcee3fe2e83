"""How a process on a CPU gets its memory."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed for the next allocation, and whether it could be told.

    By default it returns every large array to the system, and the page faults of the next one cost
    more than the arithmetic on it. The arrays of a training step have the same sizes in every step,
    so the process grows to the peak of one step and stays there."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
