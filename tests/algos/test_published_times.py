"""Evaluation under the noise of training at uniform times of a range, as published numbers are."""

import itertools

import pytest
import torch
from torch import Tensor

from algos.base import Draws
from algos.denoising import DiffusionAlgorithm
from tests.algos.configured import DIFFUSION, a_batch, build
from tests.algos.knowing import whole

LOW = 0.1  # of the published codes 1e-3, which takes long to average
SIZE, LENGTH, EXAMPLES, PASSES = 3, 3, 256, 60


@pytest.mark.parametrize("name", DIFFUSION)
def test_times_noise_and_weights_are_those_of_training(name: str) -> None:
    algorithm = build(name)
    draws = Draws(times=(0.25, 0.75))
    noised = algorithm.evaluation_noise(a_batch(size=200), draws)
    assert noised.t.min() >= 0.25 and noised.t.max() <= 0.75
    assert noised.t.max() - noised.t.min() > 0.48
    assert noised.process is algorithm.training_process
    assert (noised.weight == 1).all()
    everywhere = algorithm.evaluation_noise(a_batch(size=200), Draws())
    assert everywhere.t.min() < 0.02 and everywhere.t.max() > 0.98
    assert everywhere.process is algorithm.process


@torch.no_grad()
def costs(algorithm: DiffusionAlgorithm, x: Tensor) -> dict[tuple[bool, ...], float]:
    """Cross-entropy over the masked positions of a text (L,), for every set of them."""
    found = {}
    for masks in itertools.product((False, True), repeat=len(x)):
        hidden = torch.tensor(masks)
        z = x.masked_fill(hidden, SIZE)[None]
        logits = algorithm.backbone.head(algorithm.backbone(z, None))[0].double()
        log_p = logits.log_softmax(-1).gather(-1, x[:, None]).squeeze(-1)
        found[masks] = float(-log_p[hidden].sum())
    return found


@torch.no_grad()
def test_mdlm_reports_the_number_of_the_published_code() -> None:
    """E over t uniform in [LOW, 1] of CE / t, where (1 - 1e-3) t of the tokens are masked: by
    enumeration of the masks and a fine sum over t."""
    algorithm = build("mdlm", SIZE, LENGTH)
    algorithm.eval()
    x = torch.tensor([2, 0, 1])
    t = LOW + (1 - LOW) * (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    masked = (1 - 1e-3) * t
    expected = sum(
        float((masked ** sum(masks) * (1 - masked) ** (LENGTH - sum(masks)) / t).mean()) * cost
        for masks, cost in costs(algorithm, x).items()
    )
    totals = []
    for number in range(PASSES):
        draws = Draws(number, PASSES, (LOW, 1.0))
        totals.append(algorithm.nll(whole(x.expand(EXAMPLES, -1)), draws).double().sum(-1))
    drawn = torch.cat(totals)
    error = float(drawn.std()) / len(drawn) ** 0.5
    assert float(drawn.mean()) == pytest.approx(expected, abs=4 * error)
    assert error < 0.02 * expected
