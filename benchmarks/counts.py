"""What a GPU would wait for, launch and move, of operations on the stand-in of a device."""

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

HERE, ROOT = str(Path(__file__).resolve().parent), Path(__file__).resolve().parents[1]
NAME = "standin"  # of the device
# Operations after which the host has numbers of the device.
READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "bincount"}
READS |= {"_unique2", "unique_consecutive", "unique_dim"}
COPIES = {"copy_", "_to_copy"}
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
# No kernels: views, and what only makes room.
NO_KERNELS = {"detach", "alias", "lift_fresh", "_unsafe_view", "view", "_reshape_alias", "set_"}
NO_KERNELS |= {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
NO_KERNELS |= {"_local_scalar_dense", "is_pinned"}


class Count(NamedTuple):
    """Of one step: waits, kernels, bytes, and the waits by operation and line."""

    waits: float
    kernels: float
    bytes: float
    lines: dict[str, float]


class Counts:
    """What was seen: `waits` by (operation, line), `kernels` and `bytes` by operation."""

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.kernels: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def wait(self, what: str) -> None:
        self.waits[what, line()] += 1

    def clear(self) -> None:
        for counter in (self.waits, self.kernels, self.bytes):
            counter.clear()

    def per_step(self, steps: int) -> Count:
        """What was seen in so many steps, since `clear`, of one of them."""
        lines = {f"{what} {line}": number / steps for (what, line), number in self.waits.items()}
        counters = (self.waits, self.kernels, self.bytes)
        return Count(*(counter.total() / steps for counter in counters), lines)


COUNTS = Counts()


def line() -> str:
    """The innermost line of the project that is at work, and of Lightning's below it if any."""
    frame, below = sys._getframe(1), ""
    while frame is not None:
        name = frame.f_code.co_filename
        is_own = name.startswith(str(ROOT)) and "site-packages" not in name
        if is_own and not name.startswith(HERE):
            return f"{name[len(str(ROOT)) + 1 :]}:{frame.f_lineno}{below and f' < {below}'}"
        if not below and "/lightning/" in name:
            below = f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    backward = threading.current_thread() is not threading.main_thread()
    return "autograd's backward pass" if backward else below


def is_ours(value: Any) -> bool:
    return isinstance(value, Tensor) and value.device.type == NAME


def count_waits(
    name: str, args: Any, kwargs: dict[str, Any], to_device: bool, asked: torch.device | None
) -> None:
    """The host's: for numbers of the device, and for copies that are not non_blocking."""
    if name in READS:
        COUNTS.wait("item" if name == "_local_scalar_dense" else name)
    elif name in INDEXES and any(one is not None and one.dtype == torch.bool for one in args[1]):
        one_value = name != "index" and not is_ours(args[2]) and args[2].numel() == 1
        if not one_value:
            COUNTS.wait(f"{name} by a mask")
    elif name in COPIES:
        source = args[1] if name == "copy_" else args[0]
        later = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        shapes_alone = asked is not None and asked.type == "meta"
        if is_ours(source) != to_device and not later and not shapes_alone:
            COUNTS.wait("copy to the device" if to_device else "copy to the CPU")


def is_view(func: Any) -> bool:
    """Whether an operation makes views of its arguments alone."""
    returns = func._schema.returns
    return bool(returns) and all(one.alias_info and not one.alias_info.is_write for one in returns)


def count_kernel(func: Any, name: str, ours: list[Tensor], result: Any) -> None:
    """One launch, and the bytes that it reads and writes; views are none."""
    made = [one for one in pytree.tree_leaves(result) if is_ours(one)]
    if is_view(func) or name in NO_KERNELS or not made:
        return
    COUNTS.kernels[name] += 1
    COUNTS.bytes[name] += sum(one.numel() * one.element_size() for one in [*ours, *made])
