"""The code that torch.compile writes for an H100, which need not be there.

Graphs are traced on the CPU and then told that they are on a GPU; what inductor makes of them is
read, not run. Needs Triton (a part of a CUDA torch) and g++."""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import torch._inductor.fx_passes.joint_graph as joint_graph
import torch._inductor.fx_passes.reinplace as reinplace
from torch._dynamo import device_interface
from torch._dynamo.backends.common import aot_autograd
from torch._functorch import config as functorch_config
from torch._functorch.aot_autograd import make_boxed_func
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor import config
from torch._inductor.compile_fx import compile_fx_inner
from torch._inductor.decomposition import select_decomp_table
from torch._inductor.graph import GraphLowering
from torch._inductor.scheduler import ExternKernelSchedulerNode
from torch._inductor.virtualized import V
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import _pytree as pytree
from torch.utils import _triton

# Asked by libtorch before any operation on such a device, if only for shapes.
GUARD = r"""
#include <c10/core/impl/DeviceGuardImplInterface.h>
using namespace c10;
const Device here(DeviceType::CUDA, 0);
const Stream only(Stream::DEFAULT, here);
struct Guard final : impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  Device exchangeDevice(Device) const override { return here; }
  Device getDevice() const override { return here; }
  void setDevice(Device) const override {}
  void uncheckedSetDevice(Device) const noexcept override {}
  Stream getStream(Device) const override { return only; }
  Stream exchangeStream(Stream) const override { return only; }
  DeviceIndex deviceCount() const noexcept override { return 1; }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)
"""
TORCH = Path(torch.__file__).parent
GPU = torch.device("cuda", 0)
H100 = SimpleNamespace(
    name="H100", major=9, minor=0, multi_processor_count=132, regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048, max_threads_per_block=1024, warp_size=32,
    total_memory=80 * 2**30, shared_memory_per_block_optin=232448, L2_cache_size=50 * 2**20,
    shared_memory_per_block=49152, shared_memory_per_multiprocessor=233472,
)  # fmt: skip


class Code(NamedTuple):
    """What inductor wrote, and its own count of bytes outside products and attention."""

    text: str
    own_bytes: int


class Written(Exception):
    """The code is there; it is not to be run."""


def load_guard() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "guard.cpp"), Path(folder, "guard.so")
        source.write_text(GUARD)
        places = [f"-I{TORCH}/include", f"-L{TORCH}/lib", f"-Wl,-rpath,{TORCH}/lib"]
        line = ["g++", "-shared", "-fPIC", "-std=c++20", str(source), "-o", str(library)]
        subprocess.run([*line, *places, "-lc10"], check=True)
        ctypes.CDLL(str(library))


def pretend() -> None:
    """One GPU for those that write its code."""
    load_guard()
    cuda: Any = torch.cuda
    cuda.is_available = lambda: True
    cuda.device_count = lambda: 1
    cuda.current_device = lambda: 0
    cuda.get_device_properties = lambda device=None: H100
    cuda.get_device_capability = lambda device=None: (H100.major, H100.minor)
    cuda.get_rng_state = lambda device=None: torch.get_rng_state()
    cuda.set_rng_state = lambda *_: None
    cuda._exchange_device = lambda device: 0
    cuda._maybe_exchange_device = lambda device: 0
    cuda._lazy_init = lambda: None
    torch.version.cuda = "13.0"
    interface: Any = device_interface.CudaInterface
    interface.get_device_properties = staticmethod(lambda device=None: H100)
    interface.Worker.get_device_properties = staticmethod(lambda device=None: H100)
    interface.get_compute_capability = staticmethod(lambda device=None: 90)
    interface.is_available = staticmethod(lambda: True)
    triton: Any = _triton
    triton.triton_hash_with_backend = lambda: ""
    # Patterns of attention and small products are tried out on the device.
    joint_graph.lazy_init = lambda device=None: None
    # Its shapes alone are asked for.
    reinplace._inplace_generalized_scatter.__code__ = (lambda inp, src, view_ops: inp).__code__
    config.fx_graph_cache = functorch_config.enable_autograd_cache = False


def codes(function: Callable[..., Any], *inputs: Any) -> list[Code]:
    """Of function(*inputs), forward and, where an input has a gradient, backward."""
    found: list[Code] = []

    def compiler(graph: torch.fx.GraphModule, inputs: Any, **kind: bool) -> Callable[..., Any]:
        found.append(code_of(graph, **kind))
        return make_boxed_func(_not_run)

    def inference(graph: torch.fx.GraphModule, inputs: Any) -> Callable[..., Any]:
        joint_graph.joint_graph_passes(graph)
        return compiler(graph, inputs, is_inference=True)

    def partition(graph: torch.fx.GraphModule, inputs: Any, **more: Any) -> Any:
        joint_graph.joint_graph_passes(graph)
        return min_cut_rematerialization_partition(graph, inputs, compiler="inductor", **more)

    backend = aot_autograd(
        fw_compiler=compiler,
        bw_compiler=partial(compiler, is_backward=True),
        inference_compiler=inference,
        partition_fn=partition,
        decompositions=select_decomp_table(),
        keep_inference_input_mutations=True,
    )
    torch._dynamo.reset()
    with functorch_config.patch(force_non_lazy_backward_lowering=True):
        try:
            torch.compile(function, backend=backend)(*inputs)
        except Written:
            return found
    raise RuntimeError("nothing was compiled")


def _not_run(*_: Any) -> Any:
    raise Written


def code_of(graph: torch.fx.GraphModule, **kind: Any) -> Code:
    """What inductor writes of a graph that was traced on the CPU."""
    on_gpu(graph)
    inputs = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    mode = next(one.fake_mode for one in inputs if isinstance(one, FakeTensor))
    found: list[Code] = []
    lowering: Any = GraphLowering
    plain = lowering._compile_to_module

    def write(graph: Any) -> None:
        text = graph.codegen()[0].value
        kernels = [
            node
            for node in graph.scheduler.nodes
            if not isinstance(node, ExternKernelSchedulerNode)
        ]
        found.append(Code(text, sum(one.get_read_write_buffers_sizes() for one in kernels)))
        raise Written

    lowering._compile_to_module = write
    try:
        with V.set_fake_mode(mode):
            compile_fx_inner(graph, inputs, **kind)
    except Exception:  # inductor wraps what `write` raises in its own
        if not found:
            raise
    finally:
        lowering._compile_to_module = plain
    return found[0]


def on_gpu(graph: torch.fx.GraphModule) -> None:
    """Makes all values of a graph, and what it creates, those of the GPU."""

    def moved(value: Any) -> Any:
        if isinstance(value, torch.device):
            return GPU
        if not isinstance(value, FakeTensor):
            return value
        with value.fake_mode:
            size, stride = value.size(), value.stride()
            return torch.empty_strided(size, stride, dtype=value.dtype, device=GPU)

    for node in graph.graph.nodes:
        node.kwargs = {key: moved(value) for key, value in node.kwargs.items()}
        if "val" in node.meta:
            node.meta["val"] = pytree.tree_map(moved, node.meta["val"])
        node.meta.pop("tensor_meta", None)
    graph.recompile()
