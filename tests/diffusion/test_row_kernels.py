"""The Triton kernels, by Triton's interpreter on the CPU, beside the formulas in float64 and the
row functions of torch; where Triton is not installed (it comes with a CUDA torch), nothing."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion.bound import interpolating_bound, masked_bound, masked_nats, next_token_nats
from diffusion.chunked import Prepared, chunked
from diffusion.head import Head
from diffusion.schedule import Mix
from tests.diffusion.kernels import CLOSE, INTERPRETED, logits_of

pytestmark = INTERPRETED
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("size", [37, 4096, 5000])
def test_sums_and_gradient_are_the_formulas(
    size: int, dtype: torch.dtype, kernels: ModuleType
) -> None:
    torch.manual_seed(size)
    logits = logits_of(5, size, dtype)
    x, z = torch.randint(size, (2, 5))
    z[0] = x[0]
    odds = torch.tensor([0.0, 1.0, 50.0, 1e3, 1e6], dtype=torch.float64)
    log_p = logits.double().log_softmax(-1)
    p, scaled = log_p.exp(), odds.unsqueeze(-1) * log_p.exp()
    share = scaled / (1 + scaled)
    of_p, of_share, at_x, at_z = torch.randn(4, 5, dtype=torch.float64)
    gradient = of_p.unsqueeze(-1) * p + of_share.unsqueeze(-1) * share
    gradient.scatter_add_(1, x.unsqueeze(-1), at_x.unsqueeze(-1))
    gradient.scatter_add_(1, z.unsqueeze(-1), at_z.unsqueeze(-1))

    sums = kernels.row_sums(logits, x, z, odds)
    torch.testing.assert_close(sums.log_p_x.double(), log_p[range(5), x], rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(sums.log_p_z.double(), log_p[range(5), z], rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(sums.spread.double(), scaled.log1p().sum(-1), rtol=2e-5, atol=1e-5)
    torch.testing.assert_close(sums.shares.double(), share.sum(-1), rtol=2e-5, atol=1e-5)
    beyond = logits._base[:, size:].clone()  # type: ignore[index]
    kernels.gradient_(logits, sums, x, at_x, of_p, z, at_z, odds, of_share)
    close = CLOSE[dtype]
    torch.testing.assert_close(logits.double(), gradient, rtol=close, atol=close / 1000)
    assert torch.equal(logits._base[:, size:], beyond)  # type: ignore[index]


def rows(size: int, masked: bool) -> tuple[Tensor, ...]:
    """x, z, mix and rate of rows with and without a changed token; with masks or with noise."""
    x = torch.randint(size, (1, 9))
    other = torch.full_like(x, size) if masked else torch.randint(size, (1, 9))
    z = torch.where(torch.arange(9) % 3 == 0, x, other)
    keep = torch.linspace(0.1, 0.9, 9).unsqueeze(0)
    share = float(masked)  # of the mask in what is not kept
    mix = Mix(keep=keep, mask=(1 - keep) * share, noise=(1 - keep) * (1 - share))
    one = torch.ones_like(keep)
    return x, z, mix, Mix(keep=-one, mask=one * share, noise=one * (1 - share))


FUNCTIONS = {
    "next_token": (next_token_nats, False),
    "masked": (masked_nats, True),
    "masked_bound": (masked_bound, True),
    "interpolating": (interpolating_bound, False),
    "interpolating_masks": (interpolating_bound, True),
}


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_row_function_is_that_of_torch(
    name: str, dtype: torch.dtype, kernels: ModuleType
) -> None:
    torch.manual_seed(1)
    fn, masked = FUNCTIONS[name]
    columns: list[Any] = [
        column.flatten() if isinstance(column, Tensor) else type(column)(*(c[0] for c in column))
        for column in rows(300, masked)
    ]
    columns = columns if name != "next_token" else columns[:1]
    if isinstance(fn, Prepared):
        columns = list(fn.prepare(300, *columns))
    logits = logits_of(9, 300, dtype)
    plain = logits.float().clone()
    value, scale = fn.with_gradient(plain, *columns)
    found, own_scale = fn.by_kernels(logits, *columns)
    torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-5, check_dtype=False)
    expected = plain.double() * scale.double().unsqueeze(-1)
    gradient = logits.double() * own_scale.double().unsqueeze(-1)
    close = CLOSE[dtype]
    torch.testing.assert_close(gradient, expected, rtol=2 * close, atol=2 * close / 1000)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", ["next_token", "interpolating"])
def test_the_head_in_one_pass(name: str, dtype: torch.dtype, kernels: ModuleType) -> None:
    """Values, and gradients of hidden states, weight and bias, as without the kernels."""
    torch.manual_seed(2)
    fn, _ = FUNCTIONS[name]
    columns = rows(300, False)[: 1 if name == "next_token" else 4]
    found = []
    for fused in (False, True):
        torch.manual_seed(3)
        head, hidden = Head(16, 300), torch.randn(1, 9, 16, requires_grad=True)
        head.losses = "kernels" if fused else "torch"
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            values = chunked(fn, head, hidden, *columns)
        values.sum().backward()
        found.append([values.detach(), hidden.grad, head.weight.grad, head.bias.grad])
    for plain, own in zip(*found, strict=True):
        limit = 4 * CLOSE[dtype] * float(plain.abs().max())
        torch.testing.assert_close(own, plain, rtol=4 * CLOSE[dtype], atol=limit, check_dtype=False)


def test_no_rows(kernels: ModuleType) -> None:
    """As where not one token of a pass is masked."""
    logits, none = torch.empty(0, 37), torch.empty(0, dtype=torch.long)
    sums = kernels.row_sums(logits, none)
    kernels.gradient_(logits, sums, none, none.double(), none.double())
    assert sums.log_p_x.shape == (0,)


COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from diffusion import divergence_kernels, row_kernels, score_kernels

FLOATS = ("log_total", "log_p_x", "of_p", "at_x", "total", "linear", "plain", "divergence")


def sizes(kernels, types=(), **choices):
    types = dict.fromkeys(FLOATS, "*fp32") | dict(types)
    types |= dict.fromkeys(("logits", "log_s", "others"), "*bf16")
    types |= {"stride": "i64", "others_stride": "i64", "size": "i32", "x": "*i64", "z": "*i64"}
    choices |= {"BLOCK": row_kernels.BLOCK}
    types |= dict.fromkeys(choices, "constexpr")
    for kernel in kernels:
        own = {name: types[name] for name in kernel.arg_names}
        source = ASTSource(kernel, own, choices)
        options = {"num_warps": row_kernels.WARPS}
        print(len(compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["cubin"]))


for pair, spreads in ((False, False), (True, False), (True, True)):
    # an unused argument is given the tokens
    types = dict.fromkeys(("log_p_z", "at_z"), "*fp32" if pair else "*i64")
    types |= dict.fromkeys(("odds", "spread", "shares", "of_share"), "*fp32" if spreads else "*i64")
    kernels = row_kernels._sums, row_kernels._gradient
    sizes(kernels, types, PAIR=pair, SPREADS=spreads)
sizes((score_kernels._sums, score_kernels._gradient))
for forward in (False, True):
    sizes([divergence_kernels._divergence], FORWARD=forward)
"""


def test_they_compile_for_a_gpu(tmp_path: Path) -> None:
    """To the code of an H100, which need not be there, with the types that training has; in a
    process of its own, as the interpreter leaves Triton changed."""
    environment = {name: text for name, text in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", COMPILE]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 10
    assert all(int(size) for size in done.stdout.split())
