"""Times and randomness as functions of (seed, step or pass, example): the same for any number of
devices."""

import numpy as np
import torch
from torch import Tensor

from diffusion.philox import uniforms

GOLDEN = (5**0.5 - 1) / 2
EARLY = 0.1  # the share of evaluation times spent near t = 0


# What a stream of random numbers is for: the end of its key, never zero, since keys are padded
# with zeros and two purposes must not share a stream.
STEP, EXAMPLE, PASS, NOISE, SEED, TRAINING, DROPOUT, GAUSSIANS = range(1, 9)


def _generator(purpose: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((*key, purpose))))


def seed_of(*key: int) -> int:
    """A 64-bit seed from several integers."""
    return int(np.random.SeedSequence((*key, SEED)).generate_state(1, np.uint64)[0])


def stratified(index: Tensor, global_batch: int, seed: int, parts: int = 1) -> Tensor:
    """t (B,) in [0, 1) for the examples number `index` = step * global_batch + i of the training
    stream; with `parts` for part p of them, of number `index` * parts + p:

    t_i = (offset(seed, step) + (p + i / global_batch) / parts) mod 1, float64, on the device of
    `index`: over all parts of the global batch evenly, and over those of each example."""
    numbers, part = np.divmod(index.cpu().numpy(), parts)
    steps, row = np.divmod(numbers, global_batch)
    offsets = {step: _generator(STEP, seed, int(step)).random() for step in np.unique(steps)}
    place = (part + row / global_batch) / parts
    t = (np.array([offsets[step] for step in steps]) + place) % 1
    return torch.from_numpy(t).to(index.device)


def independent(index: Tensor, seed: int) -> Tensor:
    """t (B,) in [0, 1), drawn independently for every example number."""
    t = [_generator(EXAMPLE, seed, int(number)).random() for number in index.tolist()]
    return torch.tensor(t, dtype=torch.float64, device=index.device)


def evenly_spread(index: Tensor, seed: int, number: int) -> Tensor:
    """u (B,) in [0, 1) of pass `number`, spread evenly over any run of examples:
    frac(offset(seed, pass) + index * golden ratio)."""
    return (_generator(PASS, seed, number).random() + index.double() * GOLDEN) % 1


def evaluation_times(index: Tensor, seed: int, number: int) -> Tensor:
    """t (B,) in (0, 1) of pass `number`, of density 1 / `evaluation_weight`: the quantiles that
    `evenly_spread` chooses."""
    u = evenly_spread(index, seed, number)
    root = torch.ones_like(u)  # of t = root^4: the distribution function is a convex polynomial
    for _ in range(40):  # Newton from above, which cannot overshoot a root of a convex function
        cube = root * root * root  # not a power: its last bit depends on the size of the batch
        value = (1 - EARLY) * cube * root + EARLY * root - u
        root = root - value / (4 * (1 - EARLY) * cube + EARLY)
    square = root.clamp(2**-50, 1 - 2**-53).square()
    return square * square


def evaluation_weight(t: Tensor) -> Tensor:
    """1 / ((1 - c) + c / 4 t^(-3/4)), c = EARLY: what makes a mean over such times an integral.

    With uniform times a bound has no finite variance: at t -> 0 its square grows like 1/t for
    masked tokens and like t^(-3/2) for GIDD's noise, of which uniform times meet the rare largest
    values only. A tenth of the times drawn from t^(-3/4) / 4 makes the variance finite."""
    return 1 / ((1 - EARLY) + EARLY / 4 * t**-0.75)


def evaluation_noise(index: Tensor, length: int, seed: int, number: int) -> Tensor:
    """(2, B, L) uniforms of pass `number`, each example's its own: the batch it came in plays no
    part."""
    draws = [_generator(NOISE, seed, number, int(i)).random((2, length)) for i in index.tolist()]
    return torch.from_numpy(np.stack(draws, axis=1)).to(index.device)


def training_noise(index: Tensor, length: int, count: int, seed: int) -> Tensor:
    """(count, B, L) uniforms of the examples number `index` of the training stream."""
    return uniforms(index, length, count, seed_of(seed, TRAINING))


def example_seeds(index: Tensor, seed: int, purpose: int) -> Tensor:
    """(B,) int64, 0 to 2^53: seeds of generators, one for each example of the training stream."""
    return (uniforms(index, 1, 1, seed_of(seed, purpose))[0, :, 0] * 2.0**53).long()
