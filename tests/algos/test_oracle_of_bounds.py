"""The exam of DESIGN 2(e): with a network that knows the language, what an algorithm reports is the
entropy of the language."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from algos.base import Draws
from algos.denoising import DiffusionAlgorithm, Noised
from algos.sedd import SEDDUniform
from diffusion.schedule import LogLinear
from tests.algos.configured import DIFFUSION, NOISED, build
from tests.algos.knowing import left_out, teach, texts, whole
from tests.diffusion import brute_force

SIZE, LENGTH = 3, 3
LANGUAGE = brute_force.random_language(SIZE, LENGTH, seed=21)
ENTROPY = brute_force.entropy(LANGUAGE)


def taught(name: str, noise: str | None = None, **own: object) -> DiffusionAlgorithm:
    algorithm = build(name, SIZE, LENGTH, noise, **own).eval()
    teach(algorithm, LANGUAGE)
    return algorithm


def over_time(steps: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Times and weights of an integral: the exact sum over a grid, or trapezoids on v of t = 1 / (1
    + e^-v), which flatten the roots and logarithms at 0 and 1."""
    if steps is not None:
        return np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)
    t = 1 / (1 + np.exp(-np.arange(-32, 26, 0.25)))
    return t, 0.25 * t * (1 - t)


def pairs(algorithm: DiffusionAlgorithm, t: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every text x with every z that noise makes of it at some time: (B, L), (B, L), (T, B)."""
    mix = torch.cat(algorithm.process.schedule(t), dim=1).numpy()  # (T, 3)
    clean, noised = texts(SIZE, LENGTH), texts(SIZE + 1, LENGTH)
    x, z = np.repeat(clean, len(noised), axis=0), np.tile(noised, (len(clean), 1))
    keep, mask, noise = (part[:, None, None] for part in mix.T)
    chance = (keep * (x == z) + np.where(z == SIZE, mask, noise / SIZE)).prod(-1)  # (T, B)
    chance = chance * np.repeat(LANGUAGE.flatten(), len(noised))
    seen = (chance > 0).any(0)
    return torch.from_numpy(x[seen]), torch.from_numpy(z[seen]), torch.from_numpy(chance[:, seen])


@torch.no_grad()
def exact_nats(algorithm: DiffusionAlgorithm) -> float:
    """E of `nll` over texts, noise and times, as mode=ppl_eval reports it."""
    times, weights = (torch.from_numpy(part) for part in over_time(algorithm.steps))
    x, z, chance = pairs(algorithm, times)
    total = 0.0
    for t, weight, odds in zip(times.split(64), weights.split(64), chance.split(64), strict=True):
        noised = Noised(
            algorithm.process,
            t.repeat_interleave(len(x)),
            z.repeat(len(t), 1),
            torch.ones(len(t) * len(x), dtype=torch.float64),
        )
        algorithm.evaluation_noise = lambda batch, draws, noised=noised: noised
        nats = algorithm.nll(whole(x.repeat(len(t), 1))).sum(-1)
        odds = (odds * weight[:, None]).flatten()
        total += float(nats[odds > 0] @ odds[odds > 0])  # what cannot be may cost anything
    return total


def test_the_prediction_is_that_of_the_full_tables() -> None:
    level, states = (0.2, 0.3, 0.5), texts(SIZE + 1, LENGTH)
    actual = left_out(LANGUAGE, np.tile(level, (len(states), 1)), states)
    np.testing.assert_allclose(actual, brute_force.leave_one_out(LANGUAGE, level), rtol=1e-12)


@pytest.mark.parametrize(("name", "noise"), NOISED)
def test_the_bound_of_exact_predictions_is_the_entropy(name: str, noise: str | None) -> None:
    algorithm = taught(name, noise)
    if algorithm.steps is not None:
        pytest.skip("in discrete time it is the entropy in the limit only, see the next test")
    assert abs(exact_nats(algorithm) - ENTROPY) < 3e-6


@pytest.mark.parametrize("eps", [1e-3, 0.1, 0.5])
def test_what_is_left_of_the_text_at_the_end_of_time_is_paid_for(eps: float) -> None:
    """Scores stop where alpha(1) = eps > 0: the bound is the entropy of the language and the
    divergence of the noised text's law from the prior's."""
    network = build("sedd_uniform", SIZE, LENGTH).backbone
    alpha = LogLinear(eps)
    algorithm = SEDDUniform(backbone=network, alpha=alpha, vocab_size=SIZE, global_batch_size=8)
    teach(algorithm, LANGUAGE)
    law = brute_force.corrupted(LANGUAGE, (eps, 0.0, 1 - eps))
    from_prior = LENGTH * math.log(SIZE) - brute_force.entropy(law)
    assert exact_nats(algorithm) == pytest.approx(ENTROPY + from_prior, abs=2e-7)


@pytest.mark.parametrize("name", DIFFUSION)
def test_in_discrete_time_the_excess_falls_like_one_over_the_steps(name: str) -> None:
    """Positions are redrawn one by one: T steps cost what they tell about each other, about 0.55 /
    T nats of the language's 2.3 here."""
    if taught(name).steps is None:
        pytest.skip("continuous time")
    excess = [exact_nats(taught(name, T=steps)) - ENTROPY for steps in (32, 64, 128)]
    assert all(later > 0 for later in excess)
    for earlier, later in pairwise(excess):
        assert later == pytest.approx(earlier / 2, rel=0.03)
    # What is left of the first order is of the second.
    assert abs(2 * excess[2] - excess[1]) < 0.01 * excess[2]


@pytest.mark.parametrize("name", DIFFUSION)
def test_evaluation_draws_agree_with_the_entropy(name: str) -> None:
    """The same by Monte Carlo, with the times and the noise of an evaluation. The language is
    softer: the tails of these draws are heavy enough."""
    language = (LANGUAGE + 1 / LANGUAGE.size) / 2
    algorithm, count, passes = taught(name), 10_000, 4
    teach(algorithm, language)
    drawn = np.random.default_rng(3).choice(language.size, size=count, p=language.flatten())
    batch, nats = whole(torch.from_numpy(texts(SIZE, LENGTH)[drawn])), []
    for number in range(passes):
        with torch.no_grad():
            nats.append(algorithm.nll(batch, Draws(number)).sum(-1))
    every = torch.cat(nats)
    error = float(every.std()) / math.sqrt(count * passes)
    assert abs(float(every.mean()) - brute_force.entropy(language)) < 4 * error
    assert error < 0.06
