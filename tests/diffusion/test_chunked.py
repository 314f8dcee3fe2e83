import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from diffusion import rows as rows_room
from diffusion.bound import interpolating_bound
from diffusion.chunked import chunked
from diffusion.head import Head
from diffusion.process import Process
from diffusion.schedule import Mix
from tests.diffusion.cases import SCHEDULES
from tests.diffusion.tensor_sizes import LargestTensor

BATCH, LENGTH, SIZE, WIDTH = 3, 10, 11, 5


def cross_entropy(logits, x):
    return F.cross_entropy(logits, x, reduction="none")


def bound(logits, x, z, *numbers):
    return interpolating_bound(logits, x, z, Mix(*numbers[:3]), Mix(*numbers[3:]))


def problem(fn):
    """Head, hidden states and columns, all in float64, on which fn can be evaluated."""
    torch.manual_seed(3)
    head = nn.Linear(WIDTH, SIZE).double()
    hidden = torch.randn(BATCH, LENGTH, WIDTH).double().requires_grad_()
    x = torch.randint(SIZE, (BATCH, LENGTH))
    if fn is cross_entropy:
        return head, hidden, (x,)
    process, t = Process(SCHEDULES["hybrid 0.1"], SIZE), torch.tensor([0.2, 0.5, 0.8])
    value, rate = process.mix(t)
    return head, hidden, (x, process.corrupt(x, t), *value, *rate)


def unchunked(fn, head, hidden, *columns, rows=None):
    """The same with all logits at once and torch's own derivatives."""
    flat = [column.expand(hidden.shape[:2]).flatten() for column in columns]
    values = fn(head(hidden).flatten(0, 1), *flat).view(hidden.shape[:2])
    return values if rows is None else torch.where(rows, values, 0.0)


def some_rows(kind):
    """None, or which positions count: some in every text, none, all, or exactly one."""
    if kind == "no choice":
        return None
    rows = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
    if kind == "some":
        rows = torch.rand(BATCH, LENGTH) < 0.4
    if kind == "all":
        rows[:] = True
    if kind == "one":
        rows[1, 4] = True
    return rows


@pytest.fixture(params=[1, 7, 30, 1000])
def rows_per_chunk(request, monkeypatch):
    """Chunks of one row, uneven ones, exactly all and more than all."""
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * SIZE * request.param)


def gradients(values, factors, head, hidden):
    return torch.autograd.grad((values * factors).sum(), (hidden, head.weight, head.bias))


@pytest.mark.parametrize("fn", [cross_entropy, bound])
@pytest.mark.parametrize("kind", ["no choice", "some", "none", "all", "one"])
@pytest.mark.parametrize("upstream", ["equal", "uneven", "zero"])
@pytest.mark.usefixtures("rows_per_chunk")
def test_values_and_gradients_are_those_of_all_logits_at_once(fn, kind, upstream):
    head, hidden, columns = problem(fn)
    rows = some_rows(kind)
    factors = torch.full((BATCH, LENGTH), 0.0 if upstream == "zero" else 1 / 7).double()
    if upstream == "uneven":
        factors = torch.randn(BATCH, LENGTH).double()
    expected = unchunked(fn, head, hidden, *columns, rows=rows)
    actual = chunked(fn, head, hidden, *columns, rows=rows)
    assert actual.shape == (BATCH, LENGTH) and actual.dtype == torch.float64
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)
    pairs = zip(
        gradients(actual, factors, head, hidden),
        gradients(expected, factors, head, hidden),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    with torch.no_grad():
        without = chunked(fn, head, hidden, *columns, rows=rows)
    torch.testing.assert_close(without, expected.detach(), rtol=1e-12, atol=1e-12)
    assert not without.requires_grad


def test_the_backward_pass_can_be_repeated():
    head, hidden, columns = problem(cross_entropy)
    values = chunked(cross_entropy, head, hidden, *columns)
    expected = gradients(unchunked(cross_entropy, head, hidden, *columns), 2.0, head, hidden)
    for _ in range(3):
        inputs = (hidden, head.weight, head.bias)
        actual = torch.autograd.grad((values * 2).sum(), inputs, retain_graph=True)
        for ours, theirs in zip(actual, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_gradients_accumulate_over_calls_and_reach_what_made_the_hidden_states():
    head, hidden, columns = problem(cross_entropy)
    below = nn.Linear(WIDTH, WIDTH).double()
    for evaluate in (chunked, unchunked):
        nn.ModuleList([head, below]).zero_grad()
        for part in (slice(0, 1), slice(1, 3)):
            taken = [column[part] for column in columns]
            evaluate(cross_entropy, head, below(hidden[part]), *taken).mean().backward()
        found = [p.grad.clone() for p in (*head.parameters(), *below.parameters())]
        if evaluate is chunked:
            ours = found
    for mine, theirs in zip(ours, found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("upstream", ["equal", "uneven"])
def test_bf16_autocast_stays_close_in_value_and_gradient(upstream):
    torch.manual_seed(4)
    head = nn.Linear(64, 300)
    hidden = torch.randn(4, 50, 64, requires_grad=True)
    x = torch.randint(300, (4, 50))
    factors = torch.ones(4, 50) if upstream == "equal" else torch.rand(4, 50)
    expected = unchunked(cross_entropy, head, hidden, x)
    with torch.autocast("cpu", torch.bfloat16):
        actual = chunked(cross_entropy, head, hidden, x)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=0.02, atol=0.02)
    pairs = zip(
        gradients(actual, factors, head, hidden),
        gradients(expected, factors, head, hidden),
        strict=True,
    )
    for ours, theirs in pairs:
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.parametrize("rows", [1, 2, 17])
@pytest.mark.parametrize("size", [1000, 1024, 1300, 5000])
def test_outputs_are_those_of_the_head(rows, size):
    torch.manual_seed(rows)
    head, hidden, seen = Head(8, size), torch.randn(1, rows, 8), []

    def keep(logits):
        seen.append(logits.clone())  # the buffer is used again
        return logits.sum(-1)

    with torch.no_grad():
        values = chunked(keep, head, hidden)
        torch.testing.assert_close(torch.cat(seen), head(hidden[0]), rtol=1e-5, atol=1e-5)
    assert values.shape == (1, rows)


def test_without_gradients_logits_are_float32_even_under_autocast():
    torch.manual_seed(5)
    head, hidden = nn.Linear(64, 300), torch.randn(4, 50, 64).bfloat16()
    x = torch.randint(300, (4, 50))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        actual = chunked(cross_entropy, head, hidden, x)
    with torch.no_grad():
        expected = unchunked(cross_entropy, head, hidden.float(), x)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("upstream", ["equal", "uneven"])
@pytest.mark.parametrize("kind", ["no choice", "some"])
def test_no_tensor_of_all_logits_is_ever_made(upstream, kind, monkeypatch):
    size, rows_at_once = 2000, 16
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 1)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * size * rows_at_once)
    head, hidden = nn.Linear(8, size), torch.randn(4, 128, 8, requires_grad=True)
    x = torch.randint(size, (4, 128))
    value, rate = Process(SCHEDULES["hybrid 0.1"], size).mix(torch.full((4,), 0.5))
    factors = torch.ones(4, 128) if upstream == "equal" else torch.rand(4, 128)
    rows = None if kind == "no choice" else torch.rand(4, 128) < 0.7
    with LargestTensor() as dense:
        unchunked(cross_entropy, head, hidden, x).sum().backward()
    assert dense.elements == 4 * 128 * size
    with LargestTensor() as largest:
        values = chunked(bound, head, hidden, x, x, *value, *rate, rows=rows)
        (values * factors).sum().backward()
    assert largest.elements <= size * max(rows_at_once, 8)


def test_the_default_chunk_is_small_beside_a_training_batch():
    assert rows_room.CHUNK_BYTES["cpu"] < 4 * 8 * 1024 * 50_257 / 16


@pytest.mark.parametrize("kind", ["no choice", "some", "none"])
def test_the_gradient_of_a_sum_is_known_to_be_one_number_without_a_look(kind):
    """A look would wait for a GPU; factors that differ are seen all the same."""
    head, hidden, columns = problem(cross_entropy)
    rows = some_rows(kind)
    expected = unchunked(cross_entropy, head, hidden, *columns, rows=rows)
    wanted = gradients(expected, torch.tensor(3.0).double(), head, hidden)
    with Reads() as reads:
        values = chunked(cross_entropy, head, hidden, *columns, rows=rows)
        (values.sum() * 3).backward()
    assert reads.count == 0
    for found, gradient in zip((hidden, head.weight, head.bias), wanted, strict=True):
        torch.testing.assert_close(found.grad, gradient, rtol=1e-11, atol=1e-12)


def test_a_count_of_rows_takes_the_place_of_a_look_at_them():
    head, hidden, columns = problem(cross_entropy)
    rows = some_rows("some")
    expected = chunked(cross_entropy, head, hidden, *columns, rows=rows)
    found = chunked(cross_entropy, head, hidden, *columns, rows=rows, count=int(rows.sum()))
    assert torch.equal(found, expected)


class Reads(TorchDispatchMode):
    """Counts numbers that the program looks at."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))
