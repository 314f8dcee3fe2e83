"""The kernels of SEDD's, D3PM's and the distillation's losses, by Triton's interpreter, beside the
formulas in float64 with torch's own derivatives, and beside the row functions of torch."""

import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from diffusion.chunked import chunked
from diffusion.divergence import PredictionKL
from diffusion.head import Head, Products
from diffusion.posterior_kl import posterior_kl
from diffusion.schedule import Mix
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy
from tests.diffusion.kernels import CLOSE, INTERPRETED, logits_of

pytestmark = INTERPRETED
ROWS, WIDTH = 6, 16
Columns = tuple[Any, ...]


def mixes(noisy: bool) -> tuple[Mix, Mix]:
    """Of masks, or of noise; with their rates."""
    keep, share = torch.linspace(0.1, 0.9, ROWS), 1 - float(noisy)
    one = torch.ones(ROWS)
    mix = Mix(keep=keep, mask=(1 - keep) * share, noise=(1 - keep) * (1 - share))
    return mix, Mix(keep=-one, mask=one * share, noise=one * (1 - share))


def masked(size: int) -> Columns:
    x = torch.randint(size, (ROWS,))
    return x, torch.full_like(x, size), *mixes(noisy=False)


def noisy(size: int) -> Columns:
    """Some tokens stay, some change."""
    x, other = torch.randint(size, (2, ROWS))
    return x, torch.where(torch.arange(ROWS) % 3 == 0, x, other), *mixes(noisy=True)


def steps(size: int) -> Columns:
    """Of D3PM, whose last output is the mask; the last one ends in the text, one begins in nothing
    but masks."""
    x = torch.randint(size - 1, (ROWS,))
    now = torch.linspace(0.0, 0.9, ROWS, dtype=torch.float64)
    then = torch.cat([now[1:], now.new_ones(1)])
    pair = (Mix(keep, 1 - keep, 0 * keep) for keep in (now, then))
    return x, torch.full_like(x, size - 1), *pair, torch.linspace(1, 3, ROWS, dtype=torch.float64)


def taught(size: int) -> Columns:
    return (torch.randn(ROWS, WIDTH),)


def teacher(size: int) -> nn.Linear:
    torch.manual_seed(9)
    return nn.Linear(WIDTH, size)


class Rounded(nn.Module):
    """A teacher's logits as their product in `dtype` makes them."""

    def __init__(self, teacher: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = teacher.weight
        self.products = Products(teacher.weight.detach(), teacher.bias.detach(), dtype, ROWS, True)
        self.dtype, self.size = dtype, teacher.out_features

    def forward(self, hidden: Tensor) -> Tensor:
        return self.products(hidden.to(self.dtype))[:, : self.size].double()


FUNCTIONS: dict[str, tuple[Callable[[int], Any], Callable[[int], Columns]]] = {
    "masked score entropy": (lambda size: masked_score_entropy, masked),
    "uniform score entropy": (lambda size: uniform_score_entropy, noisy),
    "posterior": (lambda size: posterior_kl, steps),
    "distillation": (lambda size: PredictionKL(teacher(size)), taught),
    "distillation, forward": (lambda size: PredictionKL(teacher(size), True), taught),
}


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("size", [37, 5000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_the_formulas(
    name: str, size: int, dtype: torch.dtype, kernels: ModuleType
) -> None:
    """Of the very logits, in float64; nothing is written beyond them."""
    make, columns_of = FUNCTIONS[name]
    fn = make(size)
    torch.manual_seed(size)
    columns, logits = columns_of(size), logits_of(ROWS, size, dtype)
    if "masked" in name:  # outputs log N p, as a trained network has them
        logits.sub_((logits.float().logsumexp(-1, keepdim=True) - math.log(size)).to(dtype))
    exact = logits.double().requires_grad_()
    formula = replace(fn, teacher=Rounded(fn.teacher, dtype)) if "distillation" in name else fn
    value = formula(exact, *columns)
    (gradient,) = torch.autograd.grad(value.sum(), exact)

    beyond = logits._base[:, size:].clone()  # type: ignore[index]
    found, scale = fn.by_kernels(logits, *columns)
    torch.testing.assert_close(found.double(), value.detach().double(), rtol=1e-5, atol=1e-5)
    own, close = logits.double() * scale.double().unsqueeze(-1), CLOSE[dtype]
    largest = float(gradient.abs().max())
    torch.testing.assert_close(own, gradient, rtol=4 * close, atol=1e-6 * largest)
    assert torch.equal(logits._base[:, size:], beyond)  # type: ignore[index]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_row_function_is_that_of_torch(name: str, kernels: ModuleType) -> None:
    make, columns_of = FUNCTIONS[name]
    fn = make(300)
    torch.manual_seed(1)
    columns, logits = columns_of(300), logits_of(ROWS, 300, torch.float32)
    plain = logits.clone()
    value, scale = fn.with_gradient(plain, *columns)
    found, own_scale = fn.by_kernels(logits, *columns)
    torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-5, check_dtype=False)
    expected = plain.double() * scale.double().unsqueeze(-1)
    gradient = logits.double() * own_scale.double().unsqueeze(-1)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("forward", [False, True])
def test_a_student_that_is_its_teacher_costs_nothing(forward: bool, kernels: ModuleType) -> None:
    """To the rounding of products, never below zero by more than that of a sum of zeros."""
    fn = PredictionKL(teacher(5000), forward)
    (hidden,) = taught(5000)
    logits = fn.teacher(hidden).detach()
    value, _ = fn.by_kernels(logits, hidden)
    assert float(value.abs().max()) < 1e-10
    assert float(logits.abs().max()) < 1e-6


@pytest.mark.parametrize("forward", [False, True])
def test_a_student_near_its_teacher_costs_little(forward: bool, kernels: ModuleType) -> None:
    """Less than sums of p log(p / q) could tell, by the rounding of the normalisers."""
    torch.manual_seed(4)
    logits = 3 * torch.randn(ROWS, 5000)
    others = logits + 0.01 * torch.randn(ROWS, 5000)
    log_p, log_q = (part.double().log_softmax(-1) for part in (logits, others))
    first, second = (log_q, log_p) if forward else (log_p, log_q)
    exact = (first.exp() * (first - second)).sum(-1)
    found = importlib.import_module("diffusion.divergence_kernels").divergence_(
        logits, others, forward
    )
    torch.testing.assert_close(found.double(), exact, rtol=2e-3, atol=0)


def test_what_the_network_says_of_the_token_itself_plays_no_part(kernels: ModuleType) -> None:
    """However large."""
    torch.manual_seed(2)
    columns, logits = noisy(300), logits_of(ROWS, 300, torch.float32)
    found = []
    for said in (-50.0, 80.0):
        own = logits.clone()
        own[range(ROWS), columns[1]] = said
        found.append((uniform_score_entropy.by_kernels(own, *columns)[0], own))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_head_in_one_pass(name: str, dtype: torch.dtype, kernels: ModuleType) -> None:
    """Values, and gradients of hidden states, weight and bias, as without the kernels."""
    make, columns_of = FUNCTIONS[name]
    fn = make(300)
    torch.manual_seed(2)
    flat = columns_of(300)
    columns = [
        one.unsqueeze(0) if isinstance(one, Tensor) else Mix(*(part.unsqueeze(0) for part in one))
        for one in flat
    ]
    found = []
    for fused in (False, True):
        torch.manual_seed(3)
        head, hidden = Head(WIDTH, 300), torch.randn(1, ROWS, WIDTH, requires_grad=True)
        head.losses = "kernels" if fused else "torch"
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            values = chunked(fn, head, hidden, *columns)
        values.sum().backward()
        found.append([values.detach(), hidden.grad, head.weight.grad, head.bias.grad])
    for plain, own in zip(*found, strict=True):
        limit = 4 * CLOSE[dtype] * float(plain.abs().max())
        torch.testing.assert_close(own, plain, rtol=4 * CLOSE[dtype], atol=limit, check_dtype=False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_rows(name: str, kernels: ModuleType) -> None:
    """As where not one token of a pass is masked."""
    make, columns_of = FUNCTIONS[name]
    none = [
        one[:0] if isinstance(one, Tensor) else Mix(*(part[:0] for part in one))
        for one in columns_of(37)
    ]
    value, scale = make(37).by_kernels(torch.empty(0, 37), *none)
    assert value.shape == scale.shape == (0,)
