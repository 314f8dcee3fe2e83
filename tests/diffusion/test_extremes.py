"""Both ends of time, the smallest and the largest vocabularies: within stated errors of references
of more digits."""

from functools import partial

import numpy as np
import pytest
import torch

from diffusion.bound import interpolating_bound, masked_bound
from diffusion.posterior_kl import posterior_kl
from diffusion.process import Process
from diffusion.schedule import Absorbing, Mix, Uniform, hybrid
from diffusion.score_entropy import masked_score_entropy, uniform_score_entropy
from tests.diffusion import precise
from tests.diffusion.cases import SHAPES
from tests.diffusion.own_gradient import with_gradient
from tests.diffusion.precise import LONG, MANY

TIMES = [1e-12, 1e-6, 0.5, 1 - 1e-6, 1 - 1e-12]
CLOSED = SHAPES["log-linear closed"]
# the schedule, its reference, and the states z of a row with x = 0
NOISES = {
    "absorbing": (Absorbing(CLOSED), partial(precise.straight, kind="absorbing")),
    "uniform": (Uniform(CLOSED), partial(precise.straight, kind="uniform")),
    "hybrid": (partial(hybrid, p_uniform=0.25), partial(precise.hybrid, share=0.25)),
}
LOSSES = {
    "masked bound": (masked_bound, precise.masked, "absorbing", ["mask"]),
    "bound, masks": (interpolating_bound, precise.interpolating, "absorbing", ["mask"]),
    "bound, noise": (interpolating_bound, precise.interpolating, "uniform", ["same", "other"]),
    "bound, both": (
        interpolating_bound,
        precise.interpolating,
        "hybrid",
        ["same", "other", "mask"],
    ),
    "masked scores": (masked_score_entropy, precise.masked_score, "absorbing", ["mask"]),
    "uniform scores": (uniform_score_entropy, precise.uniform_score, "uniform", ["same", "other"]),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def columns_of(noise, size, kinds):
    """x, z, t and the mixtures for each kind of row at each time."""
    t = torch.tensor(TIMES, dtype=torch.float64).repeat_interleave(len(kinds))
    states = {"same": 0, "other": size - 1, "mask": size}
    z = torch.tensor([states[kind] for kind in kinds]).repeat(len(TIMES))
    mixes = Process(NOISES[noise][0], size).mix(t)
    mix, rate = (Mix(*(part[:, 0] for part in one)) for one in mixes)
    return torch.zeros_like(z), z, t, mix, rate


def reference(loss, noise, logits, z, t, digits):
    """The value, and what a row's numbers weigh: errors are in parts of it."""
    level, rate = NOISES[noise][1](digits.make(t))
    return loss(digits.make(logits), 0, z, level, rate, digits)


def allowed(value, weight, t, dtype):
    """1 - t and t are known to 2e-16 where alpha is computed; a divergence is a difference of terms
    of size one, and float32 logits say log p to a few 1e-7."""
    relative, absolute = 1e-11 + 1e-15 / min(t, 1 - t), 1e-14
    if dtype == torch.float32:
        relative, absolute = relative + 1e-5, 3e-6
    return relative * abs(value) + absolute * abs(weight)


@every_loss
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_values_at_both_ends_of_time(name, size, dtype, spread):
    loss, formula, noise, kinds = LOSSES[name]
    x, z, t, mix, rate = columns_of(noise, size, kinds)
    generator = torch.Generator().manual_seed(size)
    logits = (spread * torch.randn(len(x), size, generator=generator)).to(dtype)
    for actual in (
        loss(logits, x, z, mix, rate),
        with_gradient(loss, logits.clone(), x, z, mix, rate)[0],
    ):
        for row, time in enumerate(t.tolist()):
            numbers = logits[row].double().numpy()
            value, weight = reference(formula, noise, numbers, int(z[row]), time, MANY)
            error = abs(float(value - float(actual[row])))
            assert error <= allowed(float(value), float(weight), time, dtype), (row, time)


@every_loss
def test_gradients_at_both_ends_of_time(name):
    """Against central differences in 80 digits."""
    loss, formula, noise, kinds = LOSSES[name]
    x, z, t, mix, rate = columns_of(noise, 3, kinds)
    logits = 2 * torch.randn(len(x), 3, generator=torch.Generator().manual_seed(7)).double()
    written = logits.clone()
    _, scale = with_gradient(loss, written, x, z, mix, rate)
    gradient = scale.unsqueeze(-1) * written
    step = MANY.make(1e-25)
    for row, time in enumerate(t.tolist()):
        for token in range(3):
            ends = []
            for sign in (1, -1):
                numbers = MANY.make(logits[row].numpy())
                numbers[token] += sign * step
                value, weight = reference(formula, noise, numbers, int(z[row]), time, MANY)
                ends.append(value)
            slope = (ends[0] - ends[1]) / (2 * step)
            error = abs(float(slope - float(gradient[row, token])))
            assert error <= allowed(float(slope), float(weight), time, torch.float64), (row, time)


@every_loss
def test_a_vocabulary_of_256_000(name):
    loss, formula, noise, kinds = LOSSES[name]
    size = 256_000
    x, z, t, mix, rate = columns_of(noise, size, kinds)
    logits = 2 * torch.randn(len(x), size, generator=torch.Generator().manual_seed(8))
    written = logits.clone()
    actual, scale = with_gradient(loss, written, x, z, mix, rate)
    assert written.isfinite().all() and scale.isfinite().all()
    for row, time in enumerate(t.tolist()):
        numbers = logits[row].double().numpy()
        value, weight = reference(formula, noise, numbers, int(z[row]), time, LONG)
        error = abs(float(value - np.longdouble(float(actual[row]))))
        assert error <= allowed(float(value), float(weight), time, torch.float32), (row, time)


@pytest.mark.parametrize("size", [2, 5, 256_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [2, 1000, 10**6])
def test_divergences_of_posteriors_from_the_first_step_to_the_last(size, dtype, steps):
    process = Process(NOISES["absorbing"][0], size, predicts_mask=True)
    numbers = torch.tensor([1, 2, steps - 1, steps]).double()
    pair = [process.mix(part / steps)[0] for part in (numbers, numbers - 1)]
    now, then = (Mix(*(part[:, 0] for part in mix)) for mix in pair)
    x, z = torch.zeros(4, dtype=torch.long), torch.full((4,), size)
    logits = 3 * torch.randn(4, size + 1, generator=torch.Generator().manual_seed(9)).to(dtype)
    logits[1, -1] = 40.0  # sure of the mask
    digits = LONG if size > 100 else MANY
    actual, _ = with_gradient(posterior_kl, logits.clone(), x, z, now, then)
    for row, number in enumerate(numbers.tolist()):
        times = (digits.make(number) / steps, digits.make(number - 1) / steps)
        levels = ((1 - t, t) for t in times)
        value = precise.posteriors(digits.make(logits[row].double().numpy()), 0, *levels, digits)
        tolerance = 4e-16 * steps + (1e-11 if dtype == torch.float64 else 1e-5)
        assert abs(float(value - float(actual[row]))) <= tolerance * (float(value) + 1e-3), row
