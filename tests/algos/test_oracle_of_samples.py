"""With a network that knows the language, every sampler of every algorithm comes to draw it."""

import numpy as np
import pytest
import torch

from tests.algos.configured import DIFFUSION, PREDICTORS, build, sampler_of
from tests.algos.knowing import teach
from tests.diffusion import brute_force
from tests.samplers.exact_network import codes

SIZE, LENGTH, COUNT = 3, 3, 10_000
LANGUAGE = brute_force.random_language(SIZE, LENGTH, seed=22)
OWN = {("gidd", "ordered"): {"p_uniform": 0.0}}  # which masks alone
SAMPLED = [(name, predictor) for name, predictor in PREDICTORS if name in DIFFUSION] + list(OWN)


def distance(tokens: torch.Tensor) -> float:
    """Total variation between samples (B, L) and the language."""
    counts = np.bincount(codes(tokens, SIZE), minlength=LANGUAGE.size)
    return abs(counts / counts.sum() - LANGUAGE.flatten()).sum() / 2


@pytest.mark.parametrize(("name", "predictor"), SAMPLED)
def test_samples_come_to_follow_the_language_as_steps_grow(name: str, predictor: str) -> None:
    torch.manual_seed(23)
    algorithm = build(name, SIZE, LENGTH, **OWN.get((name, predictor), {})).eval()
    teach(algorithm, LANGUAGE)
    found = []
    for steps in (1, 4, 64):
        blank = torch.zeros(COUNT, LENGTH, dtype=torch.long)
        tokens = algorithm.sample(
            blank, blank.bool(), sampler_of(predictor, steps, algorithm, cached=False)
        )
        assert tokens.min() >= 0 and tokens.max() < SIZE
        found.append(distance(tokens))
    # what samples of the language itself show, and half of it again
    noise = 1.5 * np.sqrt(LANGUAGE * (1 - LANGUAGE) / COUNT / (2 * np.pi)).sum()
    if predictor in ("first_hitting", "ordered"):  # one token after another: exact
        assert max(found) < noise
        return
    assert found[0] > max(found[1], noise) > found[2]
    assert found[2] < noise + found[1] / 8  # falls like 1 / steps
