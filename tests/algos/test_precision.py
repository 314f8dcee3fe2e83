"""Extreme batches, and logits of eight bits."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from algos.base import Draws
from algos.denoising import DiffusionAlgorithm, Noised
from tests.algos.configured import DIFFUSION, NAMES, a_batch, build
from tests.algos.knowing import teach, texts, whole
from tests.diffusion import brute_force

SIZE, LENGTH = 4, 4


def fixed(algorithm: DiffusionAlgorithm, t: float, z: Tensor) -> None:
    """Every text at the same time and with the given noise, in evaluation and training alike."""
    times = torch.full((len(z),), t, dtype=torch.float64)
    for kind, process in (
        ("evaluation_noise", algorithm.process),
        ("training_noise", algorithm.training_process),
    ):
        noised = Noised(process, times, z, torch.ones_like(times))
        setattr(algorithm, kind, lambda batch, noised=noised: noised)


@pytest.mark.parametrize("name", DIFFUSION)
@pytest.mark.parametrize("t", [1e-12, 0.5, 1 - 1e-12])
@pytest.mark.parametrize("state", ["clean", "other", "masked"])
@pytest.mark.parametrize(("vocab_size", "length"), [(3, 1), (5, 4)])
def test_values_and_gradients_are_finite(
    name: str, t: float, state: str, vocab_size: int, length: int
) -> None:
    algorithm = build(name, vocab_size, length)
    x = torch.arange(6).unsqueeze(-1).expand(6, length) % vocab_size
    at_end = algorithm.process.schedule(torch.tensor([0.5]).double())
    if (state == "other" and at_end.noise == 0) or (state == "masked" and at_end.mask == 0):
        pytest.skip("this noise never makes such a text")
    z = {"clean": x, "other": (x + 1) % vocab_size, "masked": torch.full_like(x, vocab_size)}
    if algorithm.steps is not None:
        t = max(1, math.ceil(t * algorithm.steps)) / algorithm.steps
    fixed(algorithm, t, z[state])
    for values in (algorithm.nll(whole(x)), algorithm.objective(whole(x))):
        assert values.shape == x.shape and values.isfinite().all()
        if values.requires_grad:
            algorithm.zero_grad()
            values.sum().backward()
        gradients = [p.grad for p in algorithm.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_scored_costs_nothing(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    batch["scored"] = torch.zeros_like(batch["scored"])
    for values in (algorithm.nll(batch), algorithm.objective(batch)):
        assert (values == 0).all()
        values.sum().backward()


@pytest.mark.parametrize("name", DIFFUSION)
def test_a_large_vocabulary_and_a_small_one_are_the_same_code(name: str) -> None:
    for size in (3, 256_000):
        algorithm = build(name, size, 2)
        x = torch.tensor([[0, size - 1], [size // 2, 1]])
        for values in (algorithm.nll(whole(x)), algorithm.objective(whole(x))):
            assert values.isfinite().all()
        values.sum().backward()
        assert algorithm.backbone.head.weight.grad.isfinite().all()


def passes_of(algorithm: DiffusionAlgorithm, tokens: Tensor, passes: int) -> Tensor:
    nats = []
    for number in range(passes):
        with torch.no_grad():
            nats.append(algorithm.nll(whole(tokens), Draws(number)))
    return torch.stack(nats)


@pytest.mark.parametrize("name", DIFFUSION)
@pytest.mark.parametrize("knows", [True, False])
def test_outputs_of_eight_bits_move_the_reported_nats_by_less_than_a_thousandth(
    name: str, knows: bool
) -> None:
    """The outputs rounded to bfloat16 before the head's loss, as a GPU's product leaves them: of a
    network that knows the language, and of one that is off by a nat everywhere."""
    language = (brute_force.random_language(SIZE, LENGTH, seed=70) + SIZE**-LENGTH) / 2
    algorithm = build(name, SIZE, LENGTH).eval()
    teach(algorithm, language)
    exact = algorithm.hidden
    drawn = np.random.default_rng(71).choice(language.size, size=4000, p=language.flatten())
    tokens = torch.from_numpy(texts(SIZE, LENGTH)[drawn])

    def outputs(z: Tensor, t: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(72)
        made = exact(z, t)
        off = torch.randn(made.shape, generator=generator, dtype=torch.float64)
        return made if knows else made + off

    algorithm.hidden = outputs
    expected = passes_of(algorithm, tokens, 2)
    algorithm.hidden = lambda z, t: outputs(z, t).bfloat16().double()
    moved = passes_of(algorithm, tokens, 2)
    assert not torch.equal(moved, expected)
    assert abs(float(moved.mean() / expected.mean()) - 1) < 3e-4  # at most 5e-5 was seen
