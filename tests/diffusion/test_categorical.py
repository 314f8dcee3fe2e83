import numpy as np
import pytest
import torch

from diffusion.categorical import draw
from tests.diffusion import brute_force

BELOW_ONE = 1 - 2**-53


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(9)


def softmax(logits):
    law = logits.double().softmax(-1).numpy()
    return law / law.sum()


@pytest.mark.parametrize("size", [2, 7, 256, 1000])
def test_draws_of_the_global_generator_follow_the_softmax(size):
    logits = 2 * torch.randn(size)
    drawn = torch.cat([draw(logits.expand(5000, size)) for _ in range(8)])
    assert drawn.shape == (40_000,) and drawn.dtype == torch.long
    assert brute_force.agrees(np.bincount(drawn, minlength=size), softmax(logits))


def test_rows_are_drawn_each_from_its_own_law_and_independently():
    logits = torch.randn(2, 3).repeat(40_000, 1)
    pairs = draw(logits).view(-1, 2)
    counts = np.bincount(3 * pairs[:, 0] + pairs[:, 1], minlength=9)
    law = np.outer(softmax(logits[0]), softmax(logits[1])).flatten()
    assert brute_force.agrees(counts, law)


@pytest.mark.parametrize("size", [2, 3, 255, 256, 257, 513])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_even_comb_of_uniforms_gives_every_token_its_share(size, dtype):
    """Inversion: each token owns one interval, so a comb misses its share by one tooth at most."""
    logits, teeth = 3 * torch.randn(size, dtype=dtype), 20_000
    comb = (torch.arange(teeth, dtype=torch.float64) + 0.5) / teeth
    drawn = torch.cat([draw(logits.expand(len(u), size), u) for u in comb.split(4000)])
    assert (drawn.diff() >= 0).all()
    counts = np.bincount(drawn, minlength=size)
    assert abs(counts - softmax(logits) * teeth).max() <= 1.01


def test_given_uniforms_leave_the_generator_alone():
    before = torch.get_rng_state()
    draw(torch.zeros(3, 5), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(before, torch.get_rng_state())


def test_the_generator_gives_uniforms_of_64_bits():
    logits = torch.randn(64, 20_000)
    torch.manual_seed(1)
    drawn = draw(logits)
    torch.manual_seed(1)
    assert torch.equal(drawn, draw(logits, torch.rand(64, dtype=torch.float64)))


def upper_edges(logits, tokens):
    """For each token the least uniform that draws a later one, by bisection to the last bit."""
    low = torch.zeros(len(tokens), dtype=torch.float64)
    high = torch.full_like(low, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        later = draw(logits.expand(len(tokens), -1), middle.clamp_max(BELOW_ONE)) > tokens
        low, high = torch.where(later, low, middle), torch.where(later, middle, high)
    return high


@pytest.mark.parametrize("gap", [14.0, 18.0, 21.0])
def test_rare_tokens_of_a_large_vocabulary_keep_their_exact_share(gap):
    """Tokens e^-14 to e^-21 (1e-6 to 1e-9) as likely as their neighbours, in N = 50,000."""
    logits = torch.randn(50_000)
    rare = torch.tensor([0, 255, 256, 257, 12_345, 25_599, 49_999])
    logits[rare] -= gap
    width = upper_edges(logits, rare) - upper_edges(logits, rare - 1)
    expected = torch.from_numpy(softmax(logits))[rare]
    assert expected.max() < 1e-8
    torch.testing.assert_close(width, expected, rtol=1e-4, atol=3e-16)


def test_tokens_of_no_probability_are_never_drawn():
    """Whole blocks, first and last tokens among them, at the ends of the uniform's range too."""
    ends = torch.tensor([0.0, 5e-324, 1e-17, 0.5, 1 - 1e-15, BELOW_ONE], dtype=torch.float64)
    for size in (3, 256, 257, 1000):
        logits = 5 * torch.randn(200, size)
        gone = torch.rand(200, size) < 0.9
        gone[:, 0] = gone[:, -1] = True
        gone[:100, : size // 2] = True
        gone[100:, -(size // 2) :] = True
        gone[torch.arange(200), size // 2] = size % 2 == 0
        gone[:, 1] &= size > 3
        possible = ~gone
        possible[~possible.any(-1), 1] = True
        for uniform in (*ends, None):
            given = None if uniform is None else uniform.expand(200)
            drawn = draw(logits.masked_fill(~possible, -torch.inf), given)
            assert possible[torch.arange(200), drawn].all()


@pytest.mark.parametrize("offset", [-1e4, 0.0, 1e4])
def test_a_certain_token_is_drawn_whatever_the_scale_of_the_logits(offset):
    logits = torch.full((300, 300), offset)
    logits += 2000 * torch.eye(300)
    assert torch.equal(draw(logits), torch.arange(300))


def test_every_draw_is_in_the_vocabulary_at_the_last_uniform():
    for size in (2, 255, 256, 257, 5000):
        logits = 10 * torch.randn(500, size)
        drawn = draw(logits, torch.full((500,), BELOW_ONE).double())
        assert (drawn < size).all() and (drawn >= 0).all()
