"""The gradients that losses bring along, against the ones that autograd takes of their values."""

import pytest
import torch
from torch import nn

from diffusion.bound import interpolating_bound, masked_bound, masked_nats, next_token_nats
from diffusion.divergence import PredictionKL
from diffusion.posterior_kl import posterior_kl
from diffusion.process import Process
from diffusion.schedule import Absorbing, Mix
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy
from tests.diffusion.cases import SCHEDULES, SHAPES
from tests.diffusion.own_gradient import with_gradient

SIZE, ROWS, WIDTH = 7, 60, 4
ABSORBING, UNIFORM = "absorbing log-linear", "uniform log-linear"
# the loss, how many columns it takes, its noises, and whether only masks enter
LOSSES = {
    "next token": (next_token_nats, 1, ["hybrid 0.1"], False),
    "masked nats": (masked_nats, 4, ["hybrid 0.1", ABSORBING], False),
    "masked bound": (masked_bound, 4, ["hybrid 0.1", ABSORBING], False),
    "interpolating bound": (
        interpolating_bound,
        4,
        ["hybrid 0.1", "hybrid 0.6", ABSORBING, UNIFORM],
        False,
    ),
    "masked score entropy": (masked_score_entropy, 4, [ABSORBING, "absorbing geometric"], True),
    "uniform score entropy": (uniform_score_entropy, 4, [UNIFORM, "uniform geometric"], False),
}
CASES = [(loss, noise) for loss, (_, _, noises, _) in LOSSES.items() for noise in noises]
spreads = pytest.mark.parametrize("spread", [1.0, 200.0])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(2)


def rows_of(noise, only_masks):
    """x, z, mix and rate of ROWS rows over all of time, z of every kind."""
    x, process = torch.randint(SIZE, (ROWS,)), Process(SCHEDULES[noise], SIZE)
    t = torch.linspace(1e-6, 1 - 1e-6, ROWS, dtype=torch.float64)
    z = x
    if not noise.startswith("uniform"):
        z = torch.where(torch.rand(ROWS) < 0.3, SIZE, z)
    if process.has_noise:
        z = torch.where(torch.rand(ROWS) < 0.3, torch.randint(SIZE, (ROWS,)), z)
    z = torch.full_like(x, SIZE) if only_masks else z
    value, rate = (Mix(*(part.flatten() for part in one)) for one in process.mix(t))
    return x, z, value, rate


def outputs(spread, size=SIZE):
    """(ROWS, V) float64, rows of a spread whose smallest probabilities underflow among them."""
    return (torch.randn(ROWS, size).double() * spread).clamp_max(300)  # scores are exponentials


def compare(loss, logits, columns):
    """Values relative to their row's size; gradients to the largest of their row."""
    given = logits.clone().requires_grad_()
    values = loss(given, *columns)
    (expected,) = torch.autograd.grad(values.sum(), given)
    written = logits.clone()
    found, scale = with_gradient(loss, written, *columns)
    assert expected.isfinite().all() and (expected != 0).any()
    torch.testing.assert_close(found, values.detach(), rtol=1e-9, atol=1e-9)
    largest = 1 + expected.abs().amax(-1, keepdim=True)
    gradient = scale.unsqueeze(-1) * written
    torch.testing.assert_close(gradient / largest, expected / largest, rtol=1e-8, atol=1e-11)


@spreads
@pytest.mark.parametrize(("name", "noise"), CASES)
def test_the_gradient_that_a_loss_brings_is_the_one_that_autograd_takes(name, noise, spread):
    loss, count, _, only_masks = LOSSES[name]
    compare(loss, outputs(spread), rows_of(noise, only_masks)[:count])


@spreads
@pytest.mark.parametrize("steps", [2, 5, 1000])
def test_the_gradient_of_the_divergence_of_posteriors(steps, spread):
    """With the mask among the outputs, from the first step of time to the last."""
    process = Process(Absorbing(SHAPES["log-linear closed"]), SIZE)
    t = torch.randint(1, steps + 1, (ROWS,)).double()
    t[:3] = torch.tensor([1.0, 1.0, steps])
    levels = [process.mix(part / steps)[0] for part in (t, t - 1)]
    now, then = (Mix(*(part.flatten() for part in level)) for level in levels)
    x, z = torch.randint(SIZE, (ROWS,)), torch.full((ROWS,), SIZE)
    compare(posterior_kl, outputs(spread, SIZE + 1), (x, z, now, then))


@spreads
@pytest.mark.parametrize("forward", [False, True])
def test_the_gradient_of_the_divergence_from_a_teacher(forward, spread):
    teacher = nn.Linear(WIDTH, SIZE).double()
    hidden = spread * torch.randn(ROWS, WIDTH).double()
    compare(PredictionKL(teacher, forward), outputs(spread), (hidden,))


def test_scores_far_from_the_truth_have_the_gradients_of_finite_differences():
    x, z, mix, rate = rows_of(UNIFORM, only_masks=False)
    middle = (mix.keep > 0.05) & (mix.keep < 0.95)
    mix, rate = (Mix(*(part[middle] for part in one)) for one in (mix, rate))
    logits = outputs(1.0)[middle].requires_grad_()

    def entropy(log_s):
        return uniform_score_entropy(log_s, x[middle], z[middle], mix, rate)

    assert torch.autograd.gradcheck(entropy, (logits,))
    masked = outputs(1.0)[middle].requires_grad_()
    everywhere = torch.full_like(x[middle], SIZE)
    half = Mix(*(torch.full_like(part, 0.5) for part in mix))

    def of_masks(log_p):
        return masked_score_entropy(log_p, x[middle], everywhere, half, half)

    assert torch.autograd.gradcheck(of_masks, (masked,))
