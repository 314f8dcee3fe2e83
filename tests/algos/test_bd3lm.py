"""Block diffusion: its two ends, and what is between them by exact sums over all noise."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from algos.base import Draws
from algos.bd3lm import BD3LM
from tests.algos.block_formulas import masked_nats, uniform_nats
from tests.algos.configured import a_batch, build
from tests.algos.knowing import whole

N, L = 3, 4


def model(block_size: int = 2, vocab_size: int = N, length: int = L, **own: object) -> BD3LM:
    torch.manual_seed(11)
    made = build("bd3lm", vocab_size, length, block_size=block_size, **own)
    assert isinstance(made, BD3LM)
    with torch.no_grad():
        net = made.backbone  # whose outputs shall depend on the tokens much
        for parameter in (net.modulation.weight, net.modulation.bias, net.head.bias):
            parameter.zero_()
        net.norm.weight.fill_(1.0)
    return made.eval()


def all_texts(size: int, length: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=length)))


def mean_nll(algorithm: BD3LM, x: Tensor, count: int) -> tuple[float, float]:
    """The mean over draws of evaluations of a text (L,), with its standard error."""
    batch = whole(x.repeat(count, 1))
    nats = torch.cat([algorithm.nll(batch, Draws(number)).sum(-1) for number in range(4)])
    return float(nats.mean()), float(nats.std()) / math.sqrt(len(nats))


@torch.no_grad()
@pytest.mark.parametrize("block_size", [1, 2, 4])
def test_masked_bound_is_the_exact_sum_over_all_noise(block_size: int) -> None:
    algorithm = model(block_size)
    x = torch.tensor([[0, 1, 2, 1]])
    exact = float(masked_nats(algorithm, x))
    found, error = mean_nll(algorithm, x, 1000)
    assert abs(found - exact) < 4 * error
    assert error < 0.03 * exact


@torch.no_grad()
def test_masked_bound_is_an_upper_bound_of_a_distribution() -> None:
    """sum exp(-bound) over all texts is at most one, and one exactly for blocks of one token, where
    the bound is the chain rule."""
    x = all_texts(N, L)
    assert float((-masked_nats(model(1), x)).exp().sum()) == pytest.approx(1, abs=1e-6)
    for block_size in (2, 4):
        assert 0.5 < float((-masked_nats(model(block_size), x)).exp().sum()) < 1 - 1e-4


@torch.no_grad()
def test_uniform_bound_is_the_exact_sum_over_all_noise() -> None:
    algorithm = model(2, noise="uniform")
    x = torch.tensor([[0, 1, 2, 1]])
    v = torch.arange(-16, 10, 1.0, dtype=torch.float64)  # trapezoids on v of t = 1 / (1 + e^-v)
    t = torch.sigmoid(v)
    exact = float(uniform_nats(algorithm, x, t, t * (1 - t)))
    found, error = mean_nll(algorithm, x, 1000)
    assert abs(found - exact) < 4 * error
    assert error < 0.04 * exact


@torch.no_grad()
@pytest.mark.parametrize("noise", ["masked", "uniform"])
def test_one_block_is_the_plain_algorithm(noise: str) -> None:
    block = model(6, 5, 6, noise=noise)
    plain = build("mdlm" if noise == "masked" else "udlm").eval()
    plain.load_state_dict(block.state_dict())
    batch = a_batch()
    for number in range(3):
        draws = Draws(number)
        torch.testing.assert_close(block.nll(batch, draws), plain.nll(batch, draws))
    torch.testing.assert_close(block.objective(batch), plain.objective(batch))


def test_gradients_of_one_block_are_those_of_mdlm() -> None:
    block, plain, batch = model(6, 5, 6).train(), build("mdlm").train(), a_batch()
    plain.load_state_dict(block.state_dict())
    for algorithm in (block, plain):
        (algorithm.objective(batch).sum() / batch["tokens"].numel()).backward()
    for one, other in zip(block.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@torch.no_grad()
def test_blocks_of_one_token_are_autoregressive() -> None:
    """A masked position costs -log p(x_l | x_<l), whatever its time: in expectation the chain rule,
    which the causal network with the mask in the place of the token computes."""
    algorithm = model(1)
    x = all_texts(N, L)
    chain = torch.zeros(len(x), dtype=torch.float64)
    for place in range(L):
        z = torch.cat([x[:, :place], torch.full((len(x), 1), N)], 1)
        net = algorithm.backbone
        hidden = net(z, pattern=algorithm.pattern(place + 1))[:, -1]
        log_p = net.head(hidden).double().log_softmax(-1)
        chain -= log_p.gather(-1, x[:, place : place + 1]).squeeze(-1)
    torch.testing.assert_close(masked_nats(algorithm, x), chain, atol=1e-5, rtol=1e-5)
    assert float((-chain).exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("noise", ["masked", "uniform"])
def test_one_pass_reads_every_block_as_it_is_alone(noise: str) -> None:
    """Also with levels, and where the last block is cut."""
    algorithm = model(4, 5, 12, noise=noise)
    x, z = torch.randint(5, (3, 10)), torch.randint(6 if noise == "masked" else 5, (3, 10))
    t = algorithm.over_blocks(torch.rand(9, dtype=torch.float64), {"tokens": x})
    both = algorithm.hidden_of(x, z, t)
    for start in range(0, 10, 4):
        text = torch.cat([x[:, :start], z[:, start : start + 4]], 1)
        times = torch.cat([torch.zeros_like(t[:, :start]), t[:, start : start + 4]], 1)
        alone = algorithm.hidden(text, times)[:, start:]
        torch.testing.assert_close(both[:, start : start + 4], alone, atol=1e-5, rtol=1e-5)


def test_times_are_those_of_blocks_and_spread_over_the_global_batch() -> None:
    algorithm, batch = model(2, 5, 6), a_batch(start=16)
    t = algorithm.training_times(batch)
    assert t.shape == (8, 6)
    assert torch.equal(t[:, ::2], t[:, 1::2])
    low, high = algorithm.clip
    cells = ((t[:, ::2] - low) / (high - low) * 24).floor()
    assert sorted(cells.flatten().tolist()) == list(range(24))
    thirds = (cells / 8).floor().sort(-1).values  # those of a text are spread too
    assert (thirds == torch.arange(3)).all()
    noised = algorithm.evaluation_noise(batch)
    assert torch.equal(noised.t[:, ::2], noised.t[:, 1::2])
    assert len(noised.t.unique()) == 24
    assert noised.weight.shape == (8, 6)


def test_blocks_that_do_not_divide_the_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"algo.block_size=4: must divide model.length=6"):
        model(4, 5, 6)
