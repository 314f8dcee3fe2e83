from math import sqrt

import numpy as np
import pytest
import torch

from diffusion.process import Process
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times

SIZE = 5
every_schedule = pytest.mark.parametrize("name", brute_force.LEVELS)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(20)


@every_schedule
@pytest.mark.parametrize("t", [0.0, 0.07, 0.5, 0.93, 1.0])
def test_corrupt_follows_the_marginal_of_every_token(name, t):
    x = torch.arange(SIZE).repeat_interleave(8000).reshape(4, -1)
    z = Process(SCHEDULES[name], SIZE).corrupt(x, times(*[t] * 4))
    assert z.shape == x.shape and z.dtype == x.dtype
    law = brute_force.marginal(brute_force.LEVELS[name](t), SIZE)
    for token in range(SIZE):
        assert brute_force.agrees(np.bincount(z[x == token], minlength=SIZE + 1), law[token])


def test_every_text_is_corrupted_at_its_own_time():
    t = times(0.0, 0.25, 0.75, 1.0)
    x = torch.zeros(4, 20_000, dtype=torch.long)
    masked = (Process(SCHEDULES["absorbing log-linear"], SIZE).corrupt(x, t) == SIZE).double()
    expected = (1 - 1e-3) * t
    assert ((masked.mean(1) - expected).abs() <= 5 * sqrt(0.25 / 20_000)).all()
    assert masked[0].sum() == 0


@pytest.mark.parametrize("name", ["absorbing cosine", "uniform log-linear", "hybrid 0.6"])
def test_positions_and_texts_are_corrupted_independently(name):
    x = torch.full((100_000, 2), 3)
    z = Process(SCHEDULES[name], SIZE).corrupt(x, torch.full((100_000,), 0.5).double())
    law = brute_force.marginal(brute_force.LEVELS[name](0.5), SIZE)[3]
    across = np.bincount(z[:, 0] * (SIZE + 1) + z[:, 1], minlength=(SIZE + 1) ** 2)
    assert brute_force.agrees(across, np.outer(law, law).flatten())
    along = np.bincount(z[:-1:2, 0] * (SIZE + 1) + z[1::2, 0], minlength=(SIZE + 1) ** 2)
    assert brute_force.agrees(along, np.outer(law, law).flatten())


@every_schedule
@pytest.mark.parametrize("t", [0.2, 0.8])
def test_given_uniforms_replace_the_generator(name, t):
    """A square lattice of uniforms gives the marginal to the lattice's own width."""
    side = 500
    line = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    uniform = torch.stack(torch.meshgrid(line, line, indexing="ij"))  # (2, B, L)
    process, x = Process(SCHEDULES[name], SIZE), torch.full((side, side), 2)
    before = torch.get_rng_state()
    z = process.corrupt(x, torch.full((side,), t).double(), uniform)
    assert torch.equal(before, torch.get_rng_state())
    law = brute_force.marginal(brute_force.LEVELS[name](t), SIZE)[2]
    share = np.bincount(z.flatten(), minlength=SIZE + 1) / side**2
    assert abs(share - law).max() < 2 / side
    assert torch.equal(z, process.corrupt(x, torch.full((side,), t).double(), uniform))


@every_schedule
def test_the_generator_gives_uniforms_of_64_bits(name):
    process, x, t = Process(SCHEDULES[name], 50_257), torch.zeros(2, 50).long(), times(0.3, 0.9)
    torch.manual_seed(1)
    z = process.corrupt(x, t)
    torch.manual_seed(1)
    assert torch.equal(z, process.corrupt(x, t, torch.rand((2, 2, 50), dtype=torch.float64)))


@every_schedule
@pytest.mark.parametrize("size", [2, 5, 50_257])
def test_uniforms_at_the_ends_of_their_range_stay_inside_the_vocabulary(name, size):
    ends = torch.tensor([0.0, 5e-324, 1e-300, 0.5, 1 - 2**-53], dtype=torch.float64)
    uniform = torch.stack(torch.meshgrid(ends, ends, indexing="ij"))
    masks = brute_force.LEVELS[name](0.5)[1] > 0
    for t in (0.0, 1e-9, 0.5, 1 - 1e-9, 1.0):
        for token in (0, size - 1):
            x = torch.full((5, 5), token)
            z = Process(SCHEDULES[name], size).corrupt(x, times(*[t] * 5), uniform)
            assert (z >= 0).all() and (z < size + masks).all()


@every_schedule
def test_prior_is_pure_noise_of_the_right_kind(name):
    prior = Process(SCHEDULES[name], SIZE).prior((200, 100))
    assert prior.shape == (200, 100) and prior.dtype == torch.long
    law = np.append(np.full(SIZE, 1 / SIZE), 0.0)
    if brute_force.LEVELS[name](1.0)[1] > 0:
        law = np.eye(SIZE + 1)[SIZE]
    assert brute_force.agrees(np.bincount(prior.flatten(), minlength=SIZE + 1), law)
