"""D3PM's bound against the variational bound of its chain, summed over all paths."""

import itertools

import numpy as np
import pytest
import torch

from algos.base import Draws
from algos.denoising import Noised
from tests.algos.configured import a_batch, build
from tests.algos.knowing import teach, texts, whole
from tests.diffusion import brute_force

SIZE, LENGTH = 3, 2
STATES = texts(SIZE + 1, LENGTH)  # (S^L, L), the text of masks last
CLEAN = texts(SIZE, LENGTH)


def step_kernel(law, later, earlier):
    """(S^L, S^L) p(z_s | z_t) of predictions law (S^L, L, N+1) whose last output is the mask."""
    return brute_force.product_kernel(
        lambda row, position, z: brute_force.posterior(law[row, position], z, later, earlier, SIZE),
        SIZE,
        LENGTH,
    )


def enumerated(laws, x, steps):
    """-E_q [ log p(x, z_0 .. z_T) - log q(z_0 .. z_T | x) ] over every path of the chain."""
    levels = [(1 - k / steps, k / steps, 0.0) for k in range(steps + 1)]
    backward = [step_kernel(laws[k], levels[k], levels[k - 1]) for k in range(1, steps + 1)]
    forward = []
    for k in range(1, steps + 1):
        one = brute_force.transition(levels[k], levels[k - 1], SIZE)
        forward.append(np.kron(one, one))
    start, end = int(np.ravel_multi_index(x, (SIZE + 1,) * LENGTH)), len(STATES) - 1
    reconstruction = laws[0][start, np.arange(LENGTH), x].prod()
    total = 0.0
    for middle in itertools.product(range(len(STATES)), repeat=steps - 1):
        path = (start, *middle, end)  # alpha(1) = 0: all masks, as the prior
        ahead = np.prod([forward[k][path[k], path[k + 1]] for k in range(steps)])
        if ahead > 0:
            back = np.prod([backward[k][path[k + 1], path[k]] for k in range(steps)])
            total += ahead * np.log(ahead / (back * reconstruction))
    return total


def reported(algorithm, x, steps):
    """The mean of `nll` over the grid of times and everything that noise makes of x."""
    t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
    noised = STATES[((x == STATES) | (STATES == SIZE)).all(-1)]
    chance = np.where(noised == SIZE, t[:, None, None], 1 - t[:, None, None]).prod(-1) / steps
    count = len(noised)
    z = torch.from_numpy(noised).repeat(steps, 1)
    weight = torch.ones(len(z), dtype=torch.float64)
    given = Noised(algorithm.process, t.repeat_interleave(count), z, weight)
    algorithm.evaluation_noise = lambda batch, draws: given
    with torch.no_grad():
        nats = algorithm.nll(whole(torch.from_numpy(np.tile(x, (len(z), 1)))))
    return float(nats.sum(-1) @ torch.from_numpy(chance.flatten()))


@pytest.mark.parametrize("steps", [2, 3])
def test_what_is_reported_is_the_bound_of_the_whole_chain(steps):
    """For a random network, with mass on the mask, at masks and at tokens."""
    algorithm = build("d3pm", SIZE, LENGTH, T=steps)
    teach(algorithm, np.full((SIZE,) * LENGTH, 1 / SIZE**LENGTH))  # for its head
    generator = torch.Generator().manual_seed(steps)
    shape = (steps + 1, len(STATES), LENGTH, SIZE + 1)
    table = 1.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    places = torch.tensor([SIZE + 1, 1])
    algorithm.hidden = lambda z, t: table[(t * steps).round().long(), (z * places).sum(-1)]
    laws = table.softmax(-1).numpy()
    for x in CLEAN:
        expected = enumerated(laws, x, steps)
        assert expected > 0
        assert abs(reported(algorithm, x, steps) - expected) < 1e-11 * expected


@pytest.mark.parametrize("steps", [2, 5])
def test_every_step_of_time_has_the_same_weight(steps):
    """In training by its frequency, in evaluation by its weights."""
    algorithm, count = build("d3pm", SIZE, LENGTH, T=steps), 4000
    batch = whole(torch.zeros(count, LENGTH, dtype=torch.long))
    for noised in (algorithm.training_noise(batch), algorithm.evaluation_noise(batch)):
        number = noised.t * steps
        assert torch.equal(number, number.round()) and number.min() >= 1
        weight = noised.weight.expand_as(noised.t)
        share = torch.bincount(number.long() - 1, weights=weight, minlength=steps) / count
        torch.testing.assert_close(
            share, torch.full((steps,), 1 / steps).double(), rtol=0.05, atol=0
        )


@pytest.mark.parametrize("one_in", [2, 3])
def test_training_weighs_the_texts_that_it_reconstructs(one_in):
    """Against -log p(x | x) of the clean texts: over all, the term counts as in the bound."""
    algorithm, batch = build("d3pm", 5, 4), a_batch(5, 4, 6)
    noised, x = algorithm.evaluation_noise(batch), batch["tokens"]
    with torch.no_grad():
        few, all_of_them = algorithm.terms(batch, noised, one_in), algorithm.terms(batch, noised, 1)
        outputs = algorithm.backbone.head(algorithm.hidden(x, torch.zeros(6).double()))
        nats = -outputs.log_softmax(-1).gather(-1, x.unsqueeze(-1)).squeeze(-1) * batch["scored"]
    chosen = (batch["index"] % one_in == 0).unsqueeze(-1)
    assert chosen.sum() * one_in == len(chosen)
    expected = torch.where(chosen, (one_in - 1) * nats, -nats).double()
    torch.testing.assert_close(few - all_of_them, expected, rtol=1e-5, atol=1e-6)


def test_each_text_is_reconstructed_in_one_of_the_passes():
    """With the noise of a single pass in all of them, their mean is the value of that pass."""
    torch.manual_seed(4)
    algorithm, passes = build("d3pm", SIZE, LENGTH).eval(), 3
    torch.nn.init.normal_(algorithm.backbone.head.weight)
    batch = a_batch(SIZE, LENGTH, 7)
    noise, seen = algorithm.evaluation_noise(batch, Draws()), []
    algorithm.evaluation_noise = lambda batch, draws: noise
    algorithm.backbone.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    with torch.no_grad():
        whole_value = algorithm.nll(batch)
        parts = [algorithm.nll(batch, Draws(number, passes)) for number in range(passes)]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole_value, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(parts[0], parts[1])
    assert sum(seen[1:]) == (passes + 1) * len(batch["tokens"])
