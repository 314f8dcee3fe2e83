"""The network that knows a Markov language: its outputs are those of the full table of all texts,
for every algorithm, and the nats that are reported with it those of the language."""

import numpy as np
import pytest
import torch
from torch import Tensor

from algos.base import PLAIN, Draws, batch_of
from algos.block_reader import BlockReader
from data.markov import MarkovLanguage
from evaluation.oracle.network import LEAST, teach
from tests.algos import knowing
from tests.algos.configured import DIFFUSION, NAMES, build

STATES, LENGTH = 3, 5
BOS, SIZE = STATES, STATES + 1


def language(order: int = 1) -> MarkovLanguage:
    return MarkovLanguage(STATES, order, 0, 0.5)


def table(order: int) -> np.ndarray:
    """p of every text of BOS and symbols, (SIZE,) * LENGTH."""
    whole = np.zeros((SIZE,) * LENGTH)
    every = torch.from_numpy(knowing.texts(STATES, LENGTH - 1))
    law = (-language(order).nll(every).sum(1)).exp().numpy()
    whole[BOS, :STATES, :STATES, :STATES, :STATES] = law.reshape((STATES,) * (LENGTH - 1))
    return whole


def true_texts(count: int, order: int) -> Tensor:
    symbols = language(order).texts(count, LENGTH - 1, np.random.default_rng(1))
    return torch.nn.functional.pad(torch.from_numpy(symbols), (1, 0), value=BOS)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", DIFFUSION)
def test_oracle_network_outputs_are_those_that_the_table_of_all_texts_gives(
    name: str, order: int
) -> None:
    torch.manual_seed(2)
    quick, plain = build(name, SIZE, LENGTH).eval(), build(name, SIZE, LENGTH).eval()
    teach(quick, language(order))
    knowing.teach(plain, table(order))
    t = torch.linspace(0.02, 0.98, 60, dtype=torch.float64)
    z = quick.process.corrupt(true_texts(len(t), order), t)
    z[:, 0] = BOS
    outputs = [one.backbone.head(one.hidden(z, t).flatten(0, 1)) for one in (quick, plain)]
    found, expected = (torch.where(one > LEAST / 10, one, LEAST) for one in outputs)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert bool((found > LEAST).any(-1).all())


@pytest.mark.parametrize("order", [1, 2])
def test_oracle_network_reading_knows_what_follows_with_memory_and_without(order: int) -> None:
    algorithm, x = build("ar", SIZE, LENGTH).eval(), true_texts(40, order)
    teach(algorithm, language(order))
    network = algorithm.backbone
    whole, read = network(x), network.decoder(LENGTH)
    assert torch.equal(torch.cat([read(x[:, :2]), read(x[:, 2:3]), read(x[:, 3:])], 1), whole)
    log_p = network.head(whole[:, :-1].flatten(0, 1))
    assert torch.allclose(log_p.exp().sum(-1), torch.ones(len(log_p)).double())
    chosen = log_p.gather(-1, x[:, 1:].flatten()[:, None]).view(40, LENGTH - 1)
    torch.testing.assert_close(-chosen, language(order).nll(x)[:, 1:])


@pytest.mark.parametrize("name", NAMES)
def test_oracle_network_the_nats_of_the_perfect_network_are_those_of_the_language(
    name: str,
) -> None:
    """Exactly for ar; in the mean over times and noises for the bounds, in discrete time too but
    for 1 / T. A softer language: the tails of these draws are heavy enough."""
    soft, passes = MarkovLanguage(STATES, 2, 0, 3.0), 30
    symbols = torch.from_numpy(soft.texts(500, LENGTH - 1, np.random.default_rng(3)))
    x = torch.nn.functional.pad(symbols, (1, 0), value=BOS)
    algorithm = build(name, SIZE, LENGTH).eval()
    teach(algorithm, soft)
    batch = batch_of(x, given=1)
    gaps, exact = [], soft.nll(x).sum(1)
    for number in range(passes if algorithm.nll_is_bound else 1):
        with torch.no_grad():
            gaps.append(algorithm.nll(batch, Draws(number)).sum(1) - exact)
    gap = torch.cat(gaps)
    if name == "ar":
        assert float(gap.abs().max()) < 1e-6
        return
    error = float(gap.std()) / len(gap) ** 0.5
    assert abs(float(gap.mean())) < 4 * error < 1


def test_oracle_network_another_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.states=3: .* 9 tokens"):
        teach(build("mdlm", 9, LENGTH), language())


@pytest.mark.parametrize("noise", ["masked", "uniform"])
@pytest.mark.parametrize("block_size", [1, 2, 3])
def test_oracle_network_with_blocks_answers_as_the_table_in_one_pass_and_behind_a_memory(
    block_size: int, noise: str
) -> None:
    torch.manual_seed(4)
    own = {"block_size": block_size, "noise": noise}
    quick, plain = (build("bd3lm", SIZE, LENGTH + 1, **own).eval() for _ in range(2))
    teach(quick, language(1))
    symbols = language(1).texts(20, LENGTH, np.random.default_rng(1))
    x = torch.nn.functional.pad(torch.from_numpy(symbols), (1, 0), value=BOS)
    whole = np.zeros((SIZE,) * (LENGTH + 1))
    every = torch.from_numpy(knowing.texts(STATES, LENGTH))
    whole[(BOS, *every.numpy().T)] = (-language(1).nll(every).sum(1)).exp().numpy()
    knowing.teach(plain, whole)
    t = quick.over_blocks(torch.rand(20 * quick.blocks_of(LENGTH + 1)).double(), {"tokens": x})
    z = quick.process.corrupt(x, t)
    z[:, 0] = BOS
    states = [one.hidden_of(x, z, t) for one in (quick, plain)]
    head = quick.backbone.head, plain.backbone.head
    outputs = [layer(state.flatten(0, 1)) for layer, state in zip(head, states, strict=True)]
    found, expected = (torch.where(one > LEAST / 10, one, LEAST) for one in outputs)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    reader, last = BlockReader(quick, PLAIN, True), slice(LENGTH + 1 - block_size, LENGTH + 1)
    reader.finish(x[:, : last.start])
    behind = reader(z[:, last], t[:, last.start])
    torch.testing.assert_close(behind.hidden, states[0][:, last])
