"""Bytes that a GPU would move for a block and for the losses, counted in the code that
torch.compile writes for an H100, which need not be there.

    .venv/bin/python benchmarks/compiled_bytes.py

Needs Triton (a part of a CUDA torch) and g++; see inductor_code.py. A block's numbers, under bf16
autocast, are inductor's own count: each array that a kernel reads or writes once, whatever part of
it is needed, products and attention left out. A loss's are the loads and stores of arrays of the
vocabulary's size in the code of the kernels, casts among them, products left out, of float32
logits whose gradient is bf16, as training has them on a GPU; in eager mode what each operation
reads and writes.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from torch._inductor import config
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from backbones.dit import INDUCTOR, DiT
from backbones.rotary import rotary_table
from benchmarks.counts import is_view
from benchmarks.inductor_code import codes, pretend
from diffusion import compiled
from diffusion.bound import Known, interpolating_bound, masked_bound, next_token_nats
from diffusion.divergence import LogitsKL
from diffusion.head import padded
from diffusion.posterior_kl import posterior_kl
from diffusion.schedule import Mix
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy

BATCH, LENGTH, WIDTH, HEADS = 32, 1024, 768, 12
ROWS, VOCABULARY = 2670, 50257  # of a chunk of GPT-2's
SIZES = {"*bf16": 2, "*fp32": 4, "*fp64": 8, "*i64": 8}
KERNEL = re.compile(r"async_compile\.triton\('\w+', '''(.*?)'''", re.DOTALL)
ACCESS = re.compile(r"tl\.(?:load|store)\((\w+) \+ \((.*?)\)?, ")


def block_bytes(causal: bool) -> list[float]:
    """Per token and unit of width, forward and backward."""
    network = DiT(100, WIDTH, LENGTH, n_blocks=1, n_heads=HEADS, causal=causal)
    block, rotary = network.blocks[0], rotary_table(LENGTH, WIDTH // HEADS, torch.device("cpu"))
    x = torch.empty(BATCH, LENGTH, WIDTH, requires_grad=True)
    condition = None if causal else torch.empty(BATCH, 128, requires_grad=True)

    def function(x: Tensor, condition: Tensor | None) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            made: Tensor = block(x, rotary, condition)
            return made

    with config.patch(INDUCTOR):
        return [code.own_bytes / x.numel() for code in codes(function, x, condition)]


def columns_of(kind: str) -> list[Any]:
    tokens = torch.zeros(2, ROWS, dtype=torch.long)
    single, double = torch.ones(ROWS), torch.ones(ROWS, dtype=torch.float64)
    columns: list[Any] = [*tokens, Mix(*[single] * 3), Mix(*[single] * 3)]
    if kind == "next token":
        columns = columns[:1]
    elif kind == "posterior":
        columns[2:] = [Mix(*[double] * 3), Mix(*[double] * 3), double]
    elif kind == "interpolating":
        known = [tokens[1], *[double] * 7, torch.zeros(ROWS, dtype=torch.bool)]
        columns = [tokens[0], single, Known(*known)]
    elif kind == "divergence":
        columns = [torch.ones(ROWS, VOCABULARY)]
    return [pytree.tree_map(torch.clone, one) for one in columns]


LOSSES: dict[str, tuple[Any, str]] = {
    "ar": (next_token_nats, "next token"),
    "mdlm": (masked_bound, "masked"),
    "sedd": (masked_score_entropy, "masked"),
    "sedd_uniform": (uniform_score_entropy, "masked"),
    "d3pm": (posterior_kl, "posterior"),
    "udlm, duo, gidd": (interpolating_bound, "interpolating"),
    "duo_distill": (LogitsKL(False), "divergence"),
    "duo_distill, forward": (LogitsKL(True), "divergence"),
}


class Eager(TorchDispatchMode):
    """Bytes of large tensors that operations read and write."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least, self.bytes = least, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if not is_view(func) and "empty" not in func._schema.name:
            read = [one for one in pytree.tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
            both = [*read, *(one for one in pytree.tree_leaves(made) if isinstance(one, Tensor))]
            sizes = (one.numel() * one.element_size() for one in both if one.numel() >= self.least)
            self.bytes += sum(sizes)
        return made


def eager_bytes(fn: Any, kind: str) -> float:
    """Per logit; a row function, and the cast of its gradient."""
    logits = torch.zeros(ROWS, VOCABULARY)
    columns, gradient = columns_of(kind), torch.empty_like(logits, dtype=torch.bfloat16)
    with torch.no_grad(), Eager(logits.numel() // 2) as seen:
        fn.with_gradient(logits, *columns)
        gradient.copy_(logits)
    return seen.bytes / logits.numel()


def compiled_bytes(fn: Any, kind: str) -> tuple[float, float]:
    """Per logit: loads and stores, and inductor's own count."""
    logits = torch.zeros(ROWS, padded(VOCABULARY))
    given: Any = (logits, torch.empty_like(logits, dtype=torch.bfloat16), *columns_of(kind))
    given = compiled._of_any_length(given)
    with config.patch(compiled.OPTIONS["cuda"]), torch.no_grad():
        (code,) = codes(compiled._with_casts, fn.with_gradient, torch.float32, VOCABULARY, *given)
    return accesses(code.text), code.own_bytes / (ROWS * VOCABULARY)


def accesses(text: str) -> float:
    """Bytes of loads and stores of an element of rows, in the code of all kernels."""
    total = 0
    for kernel in KERNEL.findall(text):
        types = dict(re.findall(r"'(\w+)': '(\*\w+)'", kernel))
        column = "r0_" if "r0_base" in kernel else f"{padded(VOCABULARY)}"
        for array, index in ACCESS.findall(kernel):
            if column in index:
                total += SIZES[types[array]]
    return total


def show() -> None:
    pretend()
    print("| block | forward | backward | all |\n|---|---:|---:|---:|")
    for name, causal in (("ar", True), ("the others, with levels", False)):
        parts = block_bytes(causal)
        print(f"| {name} | {parts[0]:.1f} | {parts[1]:.1f} | {sum(parts):.1f} |", flush=True)
    print("\n| loss | eager | compiled | inductor's own count |\n|---|---:|---:|---:|")
    for name, (fn, kind) in LOSSES.items():
        made, own = compiled_bytes(fn, kind)
        print(f"| {name} | {eager_bytes(fn, kind):.1f} | {made:.0f} | {own:.1f} |", flush=True)


if __name__ == "__main__":
    show()
