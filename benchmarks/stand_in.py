"""A device that is not the CPU, on a machine without one: tensors that say they lie on it, errors
where a GPU would refuse to mix devices, and counts of what a GPU would wait for, launch and move.

Every tensor on `DEVICE` is a wrapper around one on the CPU, which does the arithmetic, so results
are those of the CPU to the last bit. What it cannot show: speed, kernels that round otherwise,
memory, several devices, torch.compile. `start` once, before tensors are made; it stays."""

import functools
from contextlib import nullcontext
from typing import Any

import torch
import torch._dynamo  # its annotations hold torch.Generator as it is
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils import backend_registration
from torch.utils._foreach_utils import _foreach_supported_types
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.counts import COPIES, COUNTS, INDEXES, NAME, count_kernel, count_waits

torch.utils.rename_privateuse1_backend(NAME)
DEVICE = torch.device(NAME, 0)
# Beside elementwise operations: what takes a number on the CPU next to tensors of a device.
WITH_NUMBERS = {"where", "masked_fill", "masked_fill_", "fill_", "lerp", "lerp_", "clamp"}
WITH_NUMBERS |= {"_fused_adamw_", "index_put", "index_put_", "_index_put_impl_"}
AUTOCAST = torch._C.DispatchKey.AutocastPrivateUse1
LOWERED = ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "scaled_dot_product_attention")
LIBRARIES = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")


class OnDevice(Tensor):
    """A tensor that says it lies on DEVICE; `inner` on the CPU has the numbers."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "OnDevice":
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
        if func is Tensor.data.__set__:  # beside the wrapper, of which the C++ side knows
            args[0].inner = args[1].inner
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = self.detach().clone().requires_grad_(self.requires_grad)
            is_parameter = isinstance(self, torch.nn.Parameter)
            memo[id(self)] = torch.nn.Parameter(copied) if is_parameter else copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        COUNTS.wait("saved")
        return self.inner.__reduce_ex__(protocol)

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert a tensor on {DEVICE} to numpy, use Tensor.cpu() first")

    __array__ = numpy

    def __format__(self, how: str) -> str:
        return format(self.item() if self.dim() == 0 else repr(self), how)

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.inner!r})"


class Device(TorchDispatchMode):
    """Sees operations none of whose arguments is on the device: factories, and transfers to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on tensors of both devices, noticed."""
    name = func._schema.name.removeprefix("aten::")
    tensors = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    ours = [one for one in tensors if isinstance(one, OnDevice)]
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    if not ours and (asked is None or asked.type != NAME):
        return func(*args, **kwargs)
    if _is_composite(func):
        with Device() if not _is_watched() else nullcontext():
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
    _check_devices(func, name, tensors, ours, args)
    to_device = bool(ours) if asked is None else asked.type == NAME
    if name == "copy_":
        to_device = isinstance(args[0], OnDevice)
    count_waits(name, args, kwargs, to_device, asked)
    if asked is not None and asked.type == NAME:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    kwargs.pop("pin_memory", None)
    inner_args, inner_kwargs = pytree.tree_map_only(OnDevice, lambda one: one.inner, (args, kwargs))
    if name == "_efficientzerotensor":  # without memory, which only torch's own kernels know
        func = torch.ops.aten.zeros.default
    found = func(*inner_args, **inner_kwargs)
    outer = {id(one.inner): one for one in ours}

    def wrapped(one: Tensor) -> Tensor:
        if id(one) in outer:  # an operation in place
            return outer[id(one)]
        if not to_device:
            return one
        with torch.inference_mode(one.is_inference()):
            return OnDevice(one)

    result = pytree.tree_map_only(Tensor, wrapped, found)
    count_kernel(func, name, ours, result)
    return result


def _is_watched() -> bool:
    stack = range(torch._C._len_torch_dispatch_stack())
    return any(isinstance(torch._C._get_dispatch_stack_at(place), Device) for place in stack)


@functools.cache
def _is_composite(func: Any) -> bool:
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return has(func.name(), "CompositeImplicitAutograd") and not has(func.name(), "CPU")


def _check_devices(
    func: Any, name: str, tensors: list[Tensor], ours: list[Tensor], args: Any
) -> None:
    """RuntimeError where a GPU has one."""
    others = [one for one in tensors if not isinstance(one, OnDevice)]
    if name in COPIES or not ours or not others:
        return
    if name in INDEXES and isinstance(args[0], OnDevice):  # which takes indices of the CPU
        COUNTS.wait(f"{name} by indices on the CPU")
        others = [one for one in args[2:3] if not isinstance(one, OnDevice)]
    numbers = torch.Tag.pointwise in func.tags or name in WITH_NUMBERS
    if (numbers or name.startswith("_foreach")) and all(one.dim() == 0 for one in others):
        return
    if others:
        shapes = ", ".join(f"{tuple(one.shape)} on {one.device}" for one in tensors)
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, "
            f"{DEVICE} and cpu! (aten::{name}: {shapes})"
        )


class _Backend(backend_registration._DummyBackendModule):
    """What autocast and Lightning ask of torch.privateuseone."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)


def _lowered(func: Any) -> Any:
    """An operation that autocast makes in its type, as on a GPU."""

    def lowered(*args: Any, **kwargs: Any) -> Any:
        low = torch.get_autocast_dtype(NAME)
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(AUTOCAST)):
            cast = pytree.tree_map_only(
                Tensor, lambda one: one.to(low) if one.dtype == torch.float32 else one, args
            )
            return func(*cast, **kwargs)

    return lowered


_own_generator = torch.Generator


def _generator(device: Any = "cpu") -> torch.Generator:
    """The CPU's, which does the arithmetic."""
    device = torch.device(device)
    return _own_generator("cpu" if device.type == NAME else device)


def start() -> None:
    """The device is there from now on."""
    setup = backend_registration._setup_privateuseone_for_python_backend
    setup(NAME, backend_module=_Backend())
    everything, aten = LIBRARIES
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    for name in LOWERED:
        aten.impl(name, _lowered(getattr(torch.ops.aten, name)), "AutocastPrivateUse1")
    torch.Generator = _generator  # type: ignore[misc, assignment]
    if OnDevice not in _foreach_supported_types:
        _foreach_supported_types.append(OnDevice)
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device) by way of the CPU
    torch.__future__.set_swap_module_params_on_conversion(True)
    Device().__enter__()
