"""GIDD's mixture as in version 1.0 of its code."""

from functools import partial

import pytest
import torch

from diffusion.process import Process
from diffusion.schedule import hybrid_by_token, token_noise

TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


@pytest.mark.parametrize("p_uniform", [0.0, 0.1, 0.2, 0.9])
@pytest.mark.parametrize("vocab_size", [4, 60, 50257])
def test_hybrid_by_token_is_a_distribution_that_ends_with_nothing_kept(
    p_uniform: float, vocab_size: int
) -> None:
    mix = hybrid_by_token(TIMES, p_uniform, vocab_size, closed=True)
    torch.testing.assert_close(mix.keep + mix.mask + mix.noise, torch.ones(101, 1).double())
    assert mix.keep[0] == 1
    assert abs(mix.keep[-1]) < 1e-12
    assert all(bool((part >= 0).all()) for part in mix)


@pytest.mark.parametrize("p_uniform", [0.0, 0.1, 0.9])
def test_hybrid_by_token_only_adds_noise(p_uniform: float) -> None:
    """A later level follows from an earlier one: what it keeps of that, and noise of its own."""
    process = Process(partial(hybrid_by_token, p_uniform=p_uniform, vocab_size=7, closed=True), 7)
    mix, rate = process.mix(TIMES[1:-1])
    factor = rate.keep / mix.keep
    assert bool((factor < 0).all())
    assert bool((rate.mask - factor * mix.mask > 0).all())
    assert bool((rate.noise - factor * mix.noise > 0).all())


def test_token_noise_is_the_share_at_half_time_of_all_ids_but_one() -> None:
    """B V / 2 = (1 - B) p / (1 - p) with V = N + 1, as in the released code."""
    for p_uniform, vocab_size in ((0.1, 60), (0.2, 50257)):
        rate = token_noise(p_uniform, vocab_size)
        odds = p_uniform / (1 - p_uniform)
        assert rate * (vocab_size + 1) / 2 == pytest.approx((1 - rate) * odds)
    assert token_noise(0.0, 60) == pytest.approx(2.061153622e-9)
