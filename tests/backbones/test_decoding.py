"""Reading left to right gives what the network's own forward pass gives."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from backbones.dit import DiT

Build = Callable[..., DiT]
STEPS = [[1] * 10, [6, 1, 1, 1, 1], [3, 4, 3], [10]]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("changes", [{}, {"n_heads": 1}, {"hidden_size": 12, "n_heads": 2}])
def test_a_decoder_gives_the_full_forward(
    build: Build, tokens: Tensor, steps: list[int], changes: dict[str, int]
) -> None:
    net = build(causal=True, dropout=0.3, **changes)
    read = net.decoder(12)
    hidden = torch.cat([read(part) for part in tokens.split(steps, dim=1)], 1)
    assert read.position == 10
    assert not hidden.requires_grad
    torch.testing.assert_close(hidden, net(tokens).detach(), atol=1e-5, rtol=1e-5)


def test_a_decoder_computes_in_float32_whatever_the_precision(build: Build, tokens: Tensor) -> None:
    net = build(causal=True)
    exact = net(tokens).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net.decoder(10)(tokens), exact, atol=1e-5, rtol=1e-5)
    low = net.bfloat16().decoder(10)(tokens)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, exact, atol=0.1, rtol=0.1)
    double = build(causal=True).double()
    torch.testing.assert_close(
        double.decoder(10)(tokens), double(tokens).detach(), rtol=1e-6, atol=1e-6
    )


def test_a_decoder_leaves_the_weights_as_they_are(build: Build, tokens: Tensor) -> None:
    net = build(causal=True)
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    read = net.decoder(10)
    for part in tokens.split(1, dim=1):
        read(part)
    assert all(torch.equal(weight, before[name]) for name, weight in net.state_dict().items())


def test_a_compiled_network_has_the_same_decoder(build: Build, tokens: Tensor) -> None:
    read, eager = build(causal=True, compile=True).decoder(10), build(causal=True)
    with torch.compiler.set_stance("fail_on_recompile"):
        hidden = torch.cat([read(part) for part in tokens.split(1, dim=1)], 1)
    torch.testing.assert_close(hidden, eager(tokens).detach(), atol=1e-5, rtol=1e-5)


def test_what_no_decoder_can_read_is_refused(build: Build, tokens: Tensor) -> None:
    with pytest.raises(ValueError, match="only a causal network reads left to right"):
        build().decoder(4)
    with pytest.raises(ValueError, match=r"model.length=24: too short for 25 tokens"):
        build(causal=True).decoder(25)
    read = build(causal=True).decoder(12)
    read(tokens)
    with pytest.raises(ValueError, match="a decoder of 12 tokens: no room for 20"):
        read(tokens)
    assert read.position == 10
