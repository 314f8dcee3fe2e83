import numpy as np
import pytest
import torch
from scipy import stats

from diffusion.times import (
    evaluation_noise,
    evaluation_times,
    evaluation_weight,
    independent,
    seed_of,
    stratified,
)


def quantile(t):
    """The distribution function of evaluation times: most are uniform, a tenth crowd at 0."""
    return 0.9 * t + 0.1 * t**0.25


TIMES = {
    "stratified": lambda index, seed: stratified(index, 8, seed),
    "independent": independent,
    "evaluation": lambda index, seed: quantile(evaluation_times(index, seed, 3)),
}
every_rule = pytest.mark.parametrize("rule", TIMES.values(), ids=TIMES)


def is_uniform(values):
    return stats.kstest(np.asarray(values), "uniform").pvalue > 1e-5


@every_rule
def test_times_are_float64_of_the_unit_interval(rule):
    t = rule(torch.arange(1000), 5)
    assert t.shape == (1000,) and t.dtype == torch.float64
    assert (t >= 0).all() and (t < 1).all()


@every_rule
def test_times_depend_on_seed_and_number_alone(rule):
    """The same for one device, for four that share every batch, and in any order."""
    index = torch.arange(96)
    whole = rule(index, 5)
    for rank in range(4):
        assert torch.equal(rule(index[rank::4], 5), whole[rank::4])
    order = torch.randperm(96, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rule(index[order], 5), whole[order])
    assert (rule(index, 6) != whole).all()


@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_every_step_puts_one_time_into_each_cell(batch):
    t = stratified(torch.arange(50 * batch), batch, seed=1).view(50, batch)
    spacing = (t - t[:, :1]) % 1
    expected = torch.arange(batch).double() / batch
    assert ((spacing - expected).abs() < 1e-12).all()
    shifted = (t.sort(-1).values - t.min(-1, keepdim=True).values) * batch
    assert ((shifted - torch.arange(batch)).abs() < 1e-9).all()


@pytest.mark.parametrize("place", [0, 5])
def test_each_place_of_the_batch_sees_uniform_times_over_the_steps(place):
    t = stratified(place + 8 * torch.arange(2000), 8, seed=2)
    assert is_uniform(t)
    assert is_uniform((t[1:] - t[:-1]) % 1)  # no step tells the next
    assert len(t.unique()) == 2000


def test_offsets_of_different_seeds_are_unrelated():
    index = 8 * torch.arange(1000)
    one, other = stratified(index, 8, seed=0), stratified(index, 8, seed=1)
    assert is_uniform((one - other) % 1)


def test_independent_times_are_uniform_and_unrelated():
    t = independent(torch.arange(3000), seed=3)
    assert is_uniform(t)
    assert is_uniform((t[1:] - t[:-1]) % 1)


def test_evaluation_times_are_evenly_spread_over_any_run_of_examples():
    for first, count in ((0, 10), (12_345, 100), (10**7, 1000)):
        t = evaluation_times(torch.arange(first, first + count), 4, 0)
        t = quantile(t).sort().values
        gaps = torch.cat([t.diff(), (t[:1] + 1 - t[-1:])])
        assert gaps.max() < 2.5 / count and gaps.min() > 0.3 / count
        assert abs(t.mean() - 0.5) < 1.5 / count


def test_evaluation_weights_turn_means_into_integrals():
    """The weight is one over the density, and it tames what uniform times cannot integrate."""
    t = torch.linspace(1e-6, 1 - 1e-6, 1000, dtype=torch.float64)
    density = (quantile(t + 1e-9) - quantile(t - 1e-9)) / 2e-9
    torch.testing.assert_close(
        evaluation_weight(t) * density, torch.ones_like(t), rtol=1e-4, atol=0
    )
    t = evaluation_times(torch.arange(1_000_000), 1, 0)
    assert 0 < t.min() < 1e-18 and t.max() < 1
    for power, integral in ((0, 1.0), (-0.5, 2.0), (-0.7, 1 / 0.3), (1, 0.5)):
        mean = (evaluation_weight(t) * t**power).mean()
        assert abs(mean - integral) < 1e-3 * integral


def test_an_example_sees_times_of_the_same_law_over_the_passes():
    t = torch.cat([evaluation_times(torch.tensor([17]), 4, number) for number in range(2000)])
    t = quantile(t)
    assert is_uniform(t)
    assert is_uniform((t[1:] - t[:-1]) % 1)
    assert (t > 0).all()


def test_evaluation_noise_belongs_to_the_example_not_to_its_batch():
    index = torch.tensor([4, 9, 0, 77])
    noise = evaluation_noise(index, 6, 5, 1)
    assert noise.shape == (2, 4, 6) and noise.dtype == torch.float64
    for place, number in enumerate(index):
        alone = evaluation_noise(number[None], 6, 5, 1)
        assert torch.equal(alone[:, 0], noise[:, place])
    assert torch.equal(evaluation_noise(index.flip(0), 6, 5, 1), noise.flip(1))


def test_evaluation_noise_is_uniform_and_new_for_every_example_pass_and_seed():
    index = torch.arange(50)
    kinds = [evaluation_noise(index, 20, seed, number) for seed in (0, 1) for number in (0, 1)]
    noise = torch.stack(kinds)
    assert (noise >= 0).all() and (noise < 1).all()
    assert is_uniform(noise.flatten())
    assert len(noise.flatten().unique()) == noise.numel()


def test_the_noise_of_an_example_tells_nothing_about_its_time():
    """Also for example 0 and pass 0, whose keys are easily confused with shorter ones."""
    for number in range(5):
        index = torch.arange(200)
        t = evaluation_times(index, 0, number)
        noise = evaluation_noise(index, 4, 0, number)
        assert not (noise == t[:, None]).any()
        assert not np.isin(noise, evaluation_times(index, 0, number + 1)).any()


def test_seeds_differ_and_fit_a_generator():
    seeds = {seed_of(seed, step) for seed in range(20) for step in range(20)}
    assert len(seeds) == 400
    for seed in seeds:
        torch.Generator().manual_seed(seed)
