"""Losses that torch.compile makes kernels of, beside torch's own operations."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from backbones.dit import DiT
from diffusion import rows as rows_room
from diffusion.bound import interpolating_bound, masked_bound, masked_nats, next_token_nats
from diffusion.chunked import Prepared, chunked
from diffusion.compiled import gradient_of
from diffusion.divergence import PredictionKL
from diffusion.head import Head
from diffusion.posterior_kl import posterior_kl
from diffusion.schedule import Mix
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy

SIZE, WIDTH = 300, 16
Columns = tuple[Any, ...]
pytestmark = [
    # Raised by torch itself when its compiler is first imported.
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated"),
    # torch's tracer asks any tensor for its gradient and hides the warning where it is shown.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]


def mixes(count: int, noisy: bool) -> tuple[Mix, Mix]:
    """Of masks, or of noise; with their rates."""
    keep, share = torch.linspace(0.1, 0.9, count).unsqueeze(0), 1 - float(noisy)
    one = torch.ones_like(keep)
    mix = Mix(keep=keep, mask=(1 - keep) * share, noise=(1 - keep) * (1 - share))
    return mix, Mix(keep=-one, mask=one * share, noise=one * (1 - share))


def clean(count: int) -> Columns:
    return (torch.randint(SIZE, (1, count)),)


def masked(count: int) -> Columns:
    (x,) = clean(count)
    return x, torch.full_like(x, SIZE), *mixes(count, noisy=False)


def noisy(count: int) -> Columns:
    """Some tokens stay, some change."""
    (x,), (other,) = clean(count), clean(count)
    z = torch.where(torch.arange(count) % 3 == 0, x, other)
    return x, z, *mixes(count, noisy=True)


def steps(count: int) -> Columns:
    """Of D3PM, whose last output is the mask."""
    x = torch.randint(SIZE - 1, (1, count))
    now = torch.linspace(0.0, 0.9, count, dtype=torch.float64).unsqueeze(0)
    pair = (Mix(keep, 1 - keep, 0 * keep) for keep in (now, now + 0.1))
    return x, torch.full_like(x, SIZE - 1), *pair, 1 + now


def taught(count: int) -> Columns:
    return (torch.randn(1, count, WIDTH),)


def teacher() -> nn.Linear:
    torch.manual_seed(9)
    return nn.Linear(WIDTH, SIZE)


LOSSES: dict[str, tuple[Callable[[], Any], Callable[[int], Columns]]] = {
    "ar": (lambda: next_token_nats, clean),
    "mdlm": (lambda: masked_nats, masked),
    "masked bound": (lambda: masked_bound, masked),
    "sedd": (lambda: masked_score_entropy, masked),
    "sedd_uniform": (lambda: uniform_score_entropy, noisy),
    "d3pm": (lambda: posterior_kl, steps),
    "gidd, masks": (lambda: interpolating_bound, masked),
    "udlm, duo, gidd": (lambda: interpolating_bound, noisy),
    "duo_distill": (lambda: PredictionKL(teacher()), taught),
    "duo_distill, forward": (lambda: PredictionKL(teacher(), True), taught),
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def results(fn: Any, losses: Any, columns: Columns, low: bool) -> list[Tensor]:
    """Values, and the gradients of hidden states, weight and bias."""
    torch.manual_seed(3)
    head, count = Head(WIDTH, SIZE), next(iter(columns)).shape[1]
    head.losses = losses
    hidden = torch.randn(1, count, WIDTH, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        values = chunked(fn, head, hidden, *columns)
    values.sum().backward()
    found = [values.detach(), hidden.grad, head.weight.grad, head.bias.grad]
    return [one for one in found if one is not None]


def assert_same(name: str, low: bool, counts: tuple[int, ...]) -> None:
    """To the order of sums in float32; in bf16 a gradient may be rounded to the other side, and the
    bias sees the rounded one: 2^-7. One graph for any number of rows."""
    make, columns_of = LOSSES[name]
    for count in counts:
        torch.manual_seed(count)
        columns = columns_of(count)
        pair = [results(make(), losses, columns, low) for losses in ("torch", "compiled")]
        for number, (plain, own) in enumerate(zip(*pair, strict=True)):
            close = 2**-7 if low and number else 3e-6
            largest = float(plain.abs().max()) if len(plain) and plain.numel() else 0.0
            torch.testing.assert_close(own, plain, rtol=0, atol=close * largest, check_dtype=False)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


@pytest.mark.parametrize(
    ("name", "low"), [*((name, True) for name in LOSSES), ("udlm, duo, gidd", False)]
)
def test_one_graph_has_the_values_and_gradients_of_torch_for_any_rows(
    name: str, low: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and made free of changes in place, without the seconds that a C++ compiler takes."""
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 64)
    monkeypatch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * 64 * SIZE)
    with torch.compiler.set_stance("default", force_backend="aot_eager"):
        assert_same(name, low, (150, 97, 130, 1, 2, 131))


def test_rows_that_are_none() -> None:
    columns = tuple(one[:, :0] for one in clean(3))
    for found in results(next_token_nats, "compiled", columns, False):
        assert not found.any()


INDUCTOR = ["ar", *(pytest.param(name, marks=pytest.mark.slow) for name in LOSSES if name != "ar")]


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize("name", INDUCTOR)
def test_kernels_of_inductor_have_the_values_and_gradients_of_torch(name: str, low: bool) -> None:
    assert_same(name, low, (70, 33))


@pytest.mark.parametrize("name", ["ar", "udlm, duo, gidd", "sedd_uniform"])
def test_the_gradient_of_float32_logits_is_cast_into_another_array(name: str) -> None:
    """As on a GPU whose products keep float32 sums; between the rows nothing is written, and in the
    place of the logits neither."""
    make, columns_of = LOSSES[name]
    torch.manual_seed(1)
    columns: list[Any] = [
        one[0] if isinstance(one, Tensor) else Mix(*(part[0] for part in one))
        for one in columns_of(40)
    ]
    fn = make()
    if isinstance(fn, Prepared):
        columns = list(fn.prepare(SIZE, *columns))
    logits = torch.randn(40, SIZE + 20)
    before, array = logits.clone(), torch.ones(40, SIZE + 20, dtype=torch.bfloat16)
    rows = logits[:, :SIZE].clone()
    value, scale = fn.with_gradient(rows, *columns)
    with torch.compiler.set_stance("default", force_backend="aot_eager"):
        own = gradient_of(fn, torch.float32, logits[:, :SIZE], array[:, :SIZE], columns)
    torch.testing.assert_close(own, (value, scale))
    torch.testing.assert_close(array[:, :SIZE].float(), rows, rtol=2**-7, atol=1e-7)
    assert bool((array[:, SIZE:] == 1).all()) and torch.equal(logits, before)


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, "torch"),
        ({"compile": False}, "torch"),
        ({"compile": True}, "compiled"),
        ({"compile": True, "loss_kernels": True}, "kernels"),
        ({"loss_kernels": True}, "kernels"),
    ],
)
def test_losses_are_compiled_where_the_blocks_are(choices: dict[str, Any], expected: str) -> None:
    assert DiT(SIZE, 16, 8, n_blocks=1, n_heads=2, **choices).head.losses == expected
