"""GIDD with the mixture of the released models."""

import math

import pytest
import torch

from algos.gidd import GIDD
from backbones.dit import DiT
from diffusion.bound import interpolating_bound

SIZES = {"hidden_size": 8, "length": 4, "n_blocks": 1, "n_heads": 1, "cond_dim": 4}


def gidd(version: str) -> GIDD:
    torch.manual_seed(0)
    backbone = DiT(vocab_size=5, **SIZES)
    return GIDD(vocab_size=5, version=version, backbone=backbone, global_batch_size=2)


def test_gidd_refuses_an_unknown_version() -> None:
    with pytest.raises(ValueError, match=r"algo\.version='2': choose from 1\.0, 1\.1"):
        gidd("2")


def test_gidd_versions_differ_in_their_noise_alone() -> None:
    """The released one has less of it: B is that of V / 2 + (1 - p) / p, not of N."""
    t = torch.tensor([0.5], dtype=torch.float64)
    paper, released = (gidd(version).training_process.schedule(t) for version in ("1.1", "1.0"))
    assert float(paper.noise) == pytest.approx(0.1)
    rate = 0.1 / (0.1 + 0.9 * 3)
    assert float(released.noise) == pytest.approx(5 * rate / 2 / (1 + 4 * rate / 2))


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_gidd_bound_of_a_network_that_knows_the_frequencies_alone_is_their_entropy(
    version: str,
) -> None:
    """The bound over all of time and every z, without chance: by the midpoint rule in s, t = sin(s)
    squared, which spends most points at both ends."""
    process = gidd(version).process
    s = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000 * math.pi / 2
    mix, rate = process.mix(s.sin().square())
    mix, rate = (type(mix)(*(part.squeeze(-1) for part in level)) for level in (mix, rate))
    total = 0.0
    for state in range(6):
        x, z = torch.zeros_like(s, dtype=torch.long), torch.full_like(s, state, dtype=torch.long)
        density = process.at(z, mix) + mix.keep * (z == x)
        values = interpolating_bound(torch.zeros(4000, 5, dtype=torch.float64), x, z, mix, rate)
        total += float((density * values * (2 * s).sin()).sum()) * math.pi / 2 / 4000
    assert total == pytest.approx(math.log(5), rel=1e-4)
