"""Where a device keeps the sums of half-precision products in float32, losses see them unrounded;
with a stand-in of the product, which torch has for CUDA alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion import head as heads
from diffusion.bound import masked_bound, next_token_nats
from diffusion.chunked import chunked
from diffusion.head import Head, are_float32, keeps_float32
from diffusion.schedule import Mix

CPU, LOW, ROWS, WIDTH = torch.device("cpu"), torch.bfloat16, 9, 16
plain_addmm = torch.addmm


class Wide:
    """torch.addmm, which knows `out_dtype` and notes the calls with it; one that `rounds` does so
    as if it did not."""

    def __init__(self, rounds: bool = False) -> None:
        self.rounds, self.calls = rounds, 0

    def __call__(self, bias: Tensor, one: Tensor, other: Tensor, **options: Any) -> Tensor:
        if "out_dtype" not in options:
            return plain_addmm(bias, one, other, **options)
        assert one.dtype == other.dtype == LOW
        assert bias.dtype == options["out"].dtype == options["out_dtype"] == torch.float32
        self.calls += 1
        found = plain_addmm(bias, one.float(), other.float())
        return options["out"].copy_(found.to(LOW) if self.rounds else found)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Wide:
    """The CPU has such a product."""
    made = Wide()
    monkeypatch.setattr(torch, "addmm", made)
    monkeypatch.setattr(heads, "keeps_float32", lambda device, dtype: True)
    return made


def test_a_device_is_asked_for_the_product_and_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not are_float32(CPU, LOW)
    for product in (Wide(), Wide(rounds=True)):
        monkeypatch.setattr(torch, "addmm", product)
        assert are_float32(CPU, LOW) is not product.rounds
        assert not keeps_float32(CPU, LOW)  # which is no CUDA device
        assert product.calls == 1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [300, 4100])  # with 60 outputs that pad
def test_values_and_gradients_are_of_logits_that_are_not_rounded(
    size: int, masked: bool, wide: Wide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of four rows, beside the formulas in float64 of the rounded factors."""
    monkeypatch.setattr("diffusion.rows.LEAST_ROWS", 4)
    monkeypatch.setattr("diffusion.rows.CHUNK_BYTES", {"cpu": 1})
    torch.manual_seed(4)
    head, hidden = Head(WIDTH, size), torch.randn(1, ROWS, WIDTH).to(LOW).float().requires_grad_()
    with torch.no_grad():
        head.weight.mul_(4).copy_(head.weight.to(LOW))
    x = torch.randint(size, (1, ROWS))
    keep, one = torch.full((1, ROWS), 0.5), torch.ones(1, ROWS)
    mixes = Mix(keep, 1 - keep, 0 * keep), Mix(-one, one, 0 * one)
    fn, columns = (masked_bound, (x, torch.full_like(x, size), *mixes)) if masked else (None, (x,))
    with torch.autocast("cpu", LOW):
        values = chunked(fn or next_token_nats, head, hidden, *columns)
    assert wide.calls == 3
    values.sum().backward()

    double = [tensor.detach().double().requires_grad_() for tensor in (hidden, *head.parameters())]
    logits = double[0][0] @ double[1].T + double[2]
    nats = torch.nn.functional.cross_entropy(logits, x[0], reduction="none") * (2 if masked else 1)
    nats.sum().backward()
    torch.testing.assert_close(values[0].double(), nats.detach(), rtol=2e-6, atol=2e-6)
    for own, exact in zip((hidden, *head.parameters()), double, strict=True):
        assert own.grad is not None and exact.grad is not None
        close = 2**-6 * float(exact.grad.abs().max())
        torch.testing.assert_close(own.grad.double(), exact.grad, rtol=2**-6, atol=close)


def test_rounded_logits_would_be_seen(wide: Wide) -> None:
    """The products that every device has are off by more than the test above allows."""
    torch.manual_seed(4)
    head, hidden = Head(WIDTH, 300), 4 * torch.randn(1, ROWS, WIDTH).to(LOW).float()
    x, found = torch.randint(300, (1, ROWS)), []
    for rounds in (False, True):
        wide.rounds = rounds
        with torch.autocast("cpu", LOW):
            found.append(chunked(next_token_nats, head, hidden, x).detach())
    assert float((found[0] - found[1]).abs().max()) > 1e-4


@pytest.mark.parametrize("low", [True, False])
def test_outputs_without_gradients_are_tf32_behind_a_network_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, low: bool
) -> None:
    """The flag stands during the head's product alone, also where that fails."""
    flags, head = torch.backends.cuda.matmul, Head(WIDTH, 5)
    before, seen = flags.fp32_precision, list[str]()

    def addmm(bias: Tensor, one: Tensor, other: Tensor, **options: Any) -> Tensor:
        assert one.dtype == other.dtype == torch.float32
        seen.append(flags.fp32_precision)
        return plain_addmm(bias, one, other, **options)

    def values(logits: Tensor) -> Tensor:
        assert flags.fp32_precision == before
        return logits.logsumexp(-1)

    def failing(*_: Any, **__: Any) -> Tensor:
        raise RuntimeError("out of memory")

    hidden = torch.randn(2, ROWS, WIDTH, dtype=LOW if low else torch.float32)
    monkeypatch.setattr(torch, "addmm", addmm)
    with torch.no_grad(), torch.autocast("cpu", LOW, enabled=low):
        found = chunked(values, head, hidden)
    expected = torch.logsumexp(hidden.float() @ head.weight.T + head.bias, -1)
    torch.testing.assert_close(found, expected)
    assert set(seen) == {"tf32" if low else before}
    monkeypatch.setattr(torch, "addmm", failing)
    autocast = torch.autocast("cpu", LOW, enabled=low)
    with torch.no_grad(), autocast, pytest.raises(RuntimeError, match="out of memory"):
        chunked(values, head, hidden)
    assert flags.fp32_precision == before
