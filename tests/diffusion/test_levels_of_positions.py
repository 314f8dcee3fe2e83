"""Noise levels of single positions, (B, L), against calls with one level for the text."""

import pytest
import torch
from torch import Tensor

from diffusion.process import Process
from tests.diffusion.cases import SCHEDULES

N, B, L = 5, 3, 4
T = torch.linspace(0.05, 0.95, B * L, dtype=torch.float64).view(B, L)
every = pytest.mark.parametrize("name", SCHEDULES)


def by_position(function) -> Tensor:
    """function(t (B,), position) for each position, (B, L)."""
    return torch.stack([function(T[:, place].contiguous(), place) for place in range(L)], 1)


@every
def test_mix_has_the_values_and_rates_of_each_position(name: str) -> None:
    process = Process(SCHEDULES[name], N)
    for mixture, which in zip(process.mix(T), (0, 1), strict=True):
        for part, own in enumerate(mixture):
            expected = by_position(lambda t, _, w=which, p=part: process.mix(t)[w][p].squeeze(-1))
            torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-15)


@every
def test_corrupt_takes_the_level_of_each_position(name: str) -> None:
    process, x = Process(SCHEDULES[name], N), torch.randint(N, (B, L))
    uniform = torch.rand(2, B, L, dtype=torch.float64)
    z = process.corrupt(x, T, uniform)
    expected = by_position(
        lambda t, place: process.corrupt(
            x[:, place : place + 1], t, uniform[:, :, place : place + 1]
        ).squeeze(-1)
    )
    assert torch.equal(z, expected)


@every
def test_jump_takes_the_levels_of_each_position(name: str) -> None:
    process = Process(SCHEDULES[name], N)
    z, mass = torch.randint(N + 1, (B, L)), torch.rand(B, L, dtype=torch.float64)
    if not bool(process.mix(T)[0].mask.any()):
        z = z.clamp_max(N - 1)
    rho = process.jump(z, mass, T, T / 2)
    expected = by_position(
        lambda t, place: process.jump(
            z[:, place : place + 1], mass[:, place : place + 1], t, t / 2
        ).squeeze(-1)
    )
    torch.testing.assert_close(rho, expected, rtol=1e-12, atol=1e-15, equal_nan=True)
