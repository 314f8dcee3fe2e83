"""The divergence from a teacher, through the chunked head, against plain formulas."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from diffusion import rows as rows_room
from diffusion.chunked import chunked
from diffusion.divergence import PredictionKL
from tests.diffusion.tensor_sizes import LargestTensor

BATCH, LENGTH, WIDTH = 3, 7, 4
directions = pytest.mark.parametrize("forward", [False, True])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(13)


def networks(size, spread=1.0, dtype=torch.float64):
    """Heads and hidden states of a student and its teacher."""
    heads = [nn.Linear(WIDTH, size).to(dtype) for _ in range(2)]
    hidden = [spread * torch.randn(BATCH, LENGTH, WIDTH, dtype=dtype) for _ in range(2)]
    return *heads, hidden[0].requires_grad_(), hidden[1]


def plain(logits, others, forward):
    """sum p log(p / q) in numpy's longest float, (B, L)."""
    log_p, log_q = (
        log_softmax(part.detach().numpy().astype(np.longdouble), axis=-1)
        for part in (logits, others)
    )
    if forward:
        log_p, log_q = log_q, log_p
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


@directions
@pytest.mark.parametrize("spread", [0.01, 1.0, 100.0, 1e4])
@pytest.mark.parametrize("size", [2, 3, 500])
def test_values_are_those_of_the_formula(size, spread, forward):
    head, teacher, now, then = networks(size, spread)
    expected = plain(head(now), teacher(then), forward).astype(float)
    loss = PredictionKL(teacher, forward)
    with_gradient = chunked(loss, head, now, then)
    with torch.no_grad():
        alone = chunked(loss, head, now, then)
    for values in (with_gradient, alone):
        np.testing.assert_allclose(values.detach(), expected, rtol=1e-9, atol=1e-14)
    assert expected.max() > 0


@directions
@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("even", [True, False])
def test_gradients_are_those_of_autograd(forward, block, even, monkeypatch):
    """To the hidden states and the head, whatever the chunks and the factors of the rows are."""
    size = 11
    head, teacher, now, then = networks(size, 3.0)
    factors = torch.ones(BATCH, LENGTH).double() if even else torch.rand(BATCH, LENGTH).double()
    rows = torch.rand(BATCH, LENGTH) < 0.7
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * size * 2 * block)
    monkeypatch.setitem(rows_room.BLOCK_BYTES, "cpu", 4 * size * block)
    values = chunked(PredictionKL(teacher, forward), head, now, then, rows=rows)
    got = torch.autograd.grad((values * factors).sum(), [now, *head.parameters()])

    log_p, log_q = head(now).log_softmax(-1), teacher(then).log_softmax(-1).detach()
    first, second = (log_q, log_p) if forward else (log_p, log_q)
    expected = (first.exp() * (first - second)).sum(-1) * rows
    wanted = torch.autograd.grad((expected * factors).sum(), [now, *head.parameters()])
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


@directions
def test_the_teacher_learns_nothing(forward):
    head, teacher, now, then = networks(6)
    then.requires_grad_()
    chunked(PredictionKL(teacher, forward), head, now, then).sum().backward()
    assert now.grad is not None and head.weight.grad is not None
    assert teacher.weight.grad is None and then.grad is None


@directions
@pytest.mark.parametrize("distance", [0.0, 1e-6, 1e-4, 1e-3])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_a_student_like_its_teacher_costs_what_it_should(spread, distance, forward):
    """In float32 over GPT-2's vocabulary, whose normalisers alone are rounded by 1e-6."""
    size = 50257
    head, _, now, _ = networks(size, spread, torch.float32)
    teacher = nn.Linear(WIDTH, size)
    teacher.load_state_dict(head.state_dict())
    with torch.no_grad():
        teacher.weight += distance * torch.randn_like(teacher.weight)
    values = chunked(PredictionKL(teacher, forward), head, now, now.detach())
    exact = plain(head.double()(now.double()), teacher.double()(now.double()), forward)
    np.testing.assert_allclose(values.detach(), exact.astype(float), rtol=1e-4, atol=5e-7)


@directions
def test_the_logits_of_neither_are_ever_whole(forward):
    size = 50257
    head, teacher, now, then = (
        part.float() if isinstance(part, nn.Linear) else part.repeat(1, 40, 1)
        for part in networks(size, 1.0, torch.float32)
    )
    with LargestTensor() as largest:
        chunked(PredictionKL(teacher, forward), head, now, then).sum().backward()
    assert largest.elements <= rows_room.LEAST_ROWS * (size + 64) < BATCH * LENGTH * 40 * size / 2
