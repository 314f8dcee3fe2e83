"""Block diffusion whose network knows the language: the bound is the entropy, and the samples are
of the language, for every size of the blocks and both noises."""

import numpy as np
import pytest
import torch

from algos.bd3lm import BD3LM
from algos.denoising import Noised
from tests.algos.configured import build, sampler_of
from tests.algos.knowing import teach, texts, whole
from tests.diffusion import brute_force
from tests.samplers.exact_network import codes

SIZE, LENGTH, COUNT = 2, 4, 4_000
LANGUAGE = brute_force.random_language(SIZE, LENGTH, seed=31)
KINDS = [(size, noise) for size in (1, 2, 4) for noise in ("masked", "uniform")]


def taught(block_size: int, noise: str) -> BD3LM:
    algorithm = build("bd3lm", SIZE, LENGTH, block_size=block_size, noise=noise).eval()
    assert isinstance(algorithm, BD3LM)
    teach(algorithm, LANGUAGE)
    return algorithm


@torch.no_grad()
@pytest.mark.parametrize(("block_size", "noise"), KINDS)
def test_the_bound_of_exact_predictions_is_the_entropy(block_size: int, noise: str) -> None:
    """By all texts, all noise and a quadrature over time, the same for all blocks: each has its own
    bound, and their sum does not see what the others' noise is."""
    algorithm = taught(block_size, noise)
    clean, noised = texts(SIZE, LENGTH), texts(SIZE + 1, LENGTH)
    x = torch.from_numpy(np.repeat(clean, len(noised), axis=0))
    z = torch.from_numpy(np.tile(noised, (len(clean), 1)))
    law, total = torch.from_numpy(np.repeat(LANGUAGE.flatten(), len(noised))), 0.0
    for v in np.arange(-28, 24, 0.5):
        t = torch.full((len(x),), 1 / (1 + np.exp(-v)), dtype=torch.float64)
        mix = algorithm.process.schedule(t)
        made = torch.where(z == SIZE, mix.mask, mix.noise / SIZE)
        chance = (mix.keep * (x == z) + made).prod(-1) * law
        seen = chance > 0
        given = Noised(algorithm.process, t[seen], z[seen], torch.ones_like(t[seen]))
        algorithm.evaluation_noise = lambda batch, draws, given=given: given
        nats = algorithm.nll(whole(x[seen])).sum(-1)
        total += 0.5 * float(t[0] * (1 - t[0]) * (nats @ chance[seen]))
    assert total == pytest.approx(brute_force.entropy(LANGUAGE), abs=3e-6)


@pytest.mark.parametrize(("block_size", "noise"), KINDS)
def test_samples_follow_the_language(block_size: int, noise: str) -> None:
    torch.manual_seed(32)
    algorithm = taught(block_size, noise)
    blank = torch.zeros(COUNT, LENGTH, dtype=torch.long)
    sampler = sampler_of("ancestral", 48, algorithm, cached=False)
    found = codes(algorithm.sample(blank, blank.bool(), sampler), SIZE)
    counts = np.bincount(found, minlength=LANGUAGE.size)
    distance = abs(counts / COUNT - LANGUAGE.flatten()).sum() / 2
    noise_of_counts = np.sqrt(LANGUAGE * (1 - LANGUAGE) / COUNT / (2 * np.pi)).sum()
    assert distance < 2 * noise_of_counts + 0.005 * (block_size > 1)  # 48 steps are not infinite
