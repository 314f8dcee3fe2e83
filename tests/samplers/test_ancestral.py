from itertools import pairwise

import numpy as np
import pytest
import torch

from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.coins import Independent
from samplers.grids import uniform_grid
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times
from tests.samplers.exact_network import ExactNetwork, codes

NAMES = [
    "absorbing log-linear",
    "absorbing cosine closed",
    "uniform log-linear",
    "uniform log-linear closed",
    "hybrid 0.1",
    "hybrid 0.6",
]
SIZE, LENGTH = 3, 3
every_noise = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


def sample(language, name, grid, count):
    process = Process(SCHEDULES[name], language.shape[0])
    z = process.prior((count, language.ndim))
    return ancestral(ExactNetwork(language, process), process, z, grid)


def counts_of(tokens, language):
    """How often each text of ordinary tokens was sampled; every other id is an error."""
    size = language.shape[0]
    assert tokens.dtype == torch.long and (tokens >= 0).all() and (tokens < size).all()
    return np.bincount(codes(tokens, size), minlength=language.size)


def clamped(law, size, token):
    """The law (S^L,) after the first position was set to `token`."""
    made = np.zeros((size + 1, len(law) // (size + 1)))
    made[token] = law.reshape(size + 1, -1).sum(0)
    return made.flatten()


def exact_law(language, name, grid, first=None):
    """(N^L,) law of the sampler's texts, by its matrices over all states.

    `first` is the token that the first position is clamped to."""
    size, length = language.shape[0], language.ndim
    level = brute_force.LEVELS[name]
    _, mask, noise = level(1.0)
    one = np.append(np.full(size, noise / size), mask) / (mask + noise)
    law = one
    for _ in range(length - 1):
        law = np.kron(law, one)
    if first is not None:
        law = clamped(law, size, first)
    for t, s in pairwise(grid.tolist()):
        law = law @ brute_force.sampler_kernel(language, level(t), level(s))
        law = law if first is None else clamped(law, size, first)
    tokens = (brute_force.states(size, length) < size).all(-1)
    assert abs(law[tokens].sum() - 1) < 1e-12
    return law[tokens] / law[tokens].sum()


def distance(law, other):
    """Total variation."""
    return abs(law - other).sum() / 2


@every_noise
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_samples_follow_the_law_of_the_steps_exactly(name, steps):
    """Few steps have a law of their own, because positions are redrawn independently."""
    language = brute_force.random_language(SIZE, LENGTH, seed=1)
    grid = uniform_grid(steps)
    counts = counts_of(sample(language, name, grid, 60_000), language)
    assert brute_force.agrees(counts, exact_law(language, name, grid))


@every_noise
@pytest.mark.parametrize("text", [(3, 3, 3), (3, 0, 1), (2, 0, 1)])
def test_one_step_from_any_text_is_its_row_of_the_kernel(name, text):
    """States half-way are masks and noise still, so the coin itself shows, to half a percent."""
    if name.startswith("uniform") and SIZE in text:
        text = tuple(token % SIZE for token in text)
    language = brute_force.random_language(SIZE, LENGTH, seed=10)
    process, level = Process(SCHEDULES[name], SIZE), brute_force.LEVELS[name]
    network, z = ExactNetwork(language, process), torch.tensor(text).repeat(200_000, 1)
    reached = ancestral(network, process, z, times(0.7, 0.3))
    start = int(codes(z[:1], SIZE + 1))
    row = brute_force.sampler_kernel(language, level(0.7), level(0.3))[start]
    assert brute_force.agrees(np.bincount(codes(reached, SIZE + 1), minlength=len(row)), row)
    moved = (brute_force.states(SIZE, LENGTH) != np.array(text)).sum(-1)
    counts = np.bincount((reached != z).sum(-1), minlength=LENGTH + 1)
    assert brute_force.agrees(counts, np.bincount(moved, weights=row, minlength=LENGTH + 1))


@every_noise
def test_an_uneven_grid_is_followed_as_given(name):
    language = brute_force.random_language(SIZE, LENGTH, seed=2)
    grid = times(1.0, 0.95, 0.4, 0.35, 0.02, 0.0)
    counts = counts_of(sample(language, name, grid, 60_000), language)
    assert brute_force.agrees(counts, exact_law(language, name, grid))


@every_noise
def test_samples_converge_to_the_language_as_steps_grow(name):
    language = brute_force.random_language(SIZE, LENGTH, seed=3)
    wanted, distances = language.flatten(), []
    for steps in (1, 4, 64):
        counts = counts_of(sample(language, name, uniform_grid(steps), 30_000), language)
        distances.append(distance(counts / counts.sum(), wanted))
    # the expected distance of 30,000 samples of the language itself, and half of it again
    noise = 1.5 * np.sqrt(wanted * (1 - wanted) / 30_000 / (2 * np.pi)).sum()
    assert distances[0] > 5 * noise
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < noise + distance(exact_law(language, name, uniform_grid(64)), wanted)


@every_noise
@pytest.mark.parametrize("steps", [1, 3])
def test_one_position_is_exact_for_any_number_of_steps(name, steps):
    language = brute_force.random_language(7, 1, seed=4)
    counts = counts_of(sample(language, name, uniform_grid(steps), 50_000), language)
    left = brute_force.LEVELS[name](1.0)[0]  # the prior ignores what alpha(1) = 1e-3 would keep
    law = language if left == 0 else exact_law(language, name, uniform_grid(steps))
    assert brute_force.agrees(counts, law)


@every_noise
def test_clamped_positions_stay_and_the_rest_follows_them(name):
    """The network sees the clamped token at every call, the first one included."""
    language = brute_force.random_language(SIZE, LENGTH, seed=5)
    process, grid, seen = Process(SCHEDULES[name], SIZE), uniform_grid(6), []
    network = ExactNetwork(language, process)

    def clamp(z):
        return torch.cat([torch.full_like(z[:, :1], 2), z[:, 1:]], 1)

    def denoise(z, t, rows):
        seen.append(z)
        return network(z, t)

    tokens = ancestral(denoise, process, process.prior((60_000, LENGTH)), grid, clamp=clamp)
    assert (tokens[:, 0] == 2).all() and all((state[:, 0] == 2).all() for state in seen)
    law = exact_law(language, name, grid, first=2)
    assert brute_force.agrees(counts_of(tokens, language), law)


def test_the_network_sees_the_times_of_the_grid_and_never_the_end():
    language = brute_force.random_language(SIZE, LENGTH, seed=6)
    process = Process(SCHEDULES["hybrid 0.1"], SIZE)
    network = ExactNetwork(language, process)
    ancestral(network, process, process.prior((50, LENGTH)), uniform_grid(4))
    assert network.calls == [1.0, 0.75, 0.5, 0.25]


def test_a_text_is_shown_only_where_something_is_drawn():
    language = brute_force.random_language(SIZE, LENGTH, seed=7)
    process = Process(SCHEDULES["absorbing log-linear"], SIZE)
    network, shown = ExactNetwork(language, process), []

    def denoise(z, t, rows):
        shown.append(rows)
        return network(z, t)

    ancestral(denoise, process, process.prior((200, LENGTH)), uniform_grid(1000))
    calls = torch.cat(shown).bincount(minlength=200)
    assert calls.min() >= 1 and calls.max() == LENGTH  # of each text by itself
    assert sum(map(len, shown)) < 200 * LENGTH  # now and then two are drawn at once


class AllAsked(Independent):
    """Coins of which nothing can be known before the chances are."""

    nested = False


@pytest.mark.parametrize("predicts_mask", [False, True])
@every_noise
def test_a_position_that_stays_whatever_the_network_says_is_not_asked(name, predicts_mask):
    """The texts are those of a network that is asked everywhere."""
    size, length, steps = 40, 12, 50
    process = Process(SCHEDULES[name], size, predicts_mask)
    hidden = torch.randn(size + 1, 8)
    head = torch.nn.Linear(8, size + predicts_mask)
    texts, asked, shown = [], [], []
    for coins in (Independent, AllAsked):

        class Counted(Prediction):
            def mass_at(self, z, where=None):
                asked[-1] += int(where.sum())
                return super().mass_at(z, where)

        def denoise(z, t, rows):
            shown[-1] += len(rows)
            return Counted(head, hidden[z])

        asked.append(0)
        shown.append(0)
        torch.manual_seed(3)
        z = process.prior((30, length))
        texts.append(ancestral(denoise, process, z, uniform_grid(steps), coins=coins))
    assert torch.equal(*texts)
    assert shown[0] <= shown[1]
    if process.asks:
        assert 0 < asked[0] < asked[1] / 4


@every_noise
def test_the_given_noise_is_not_changed_in_place(name):
    language = brute_force.random_language(SIZE, LENGTH, seed=8)
    process = Process(SCHEDULES[name], SIZE)
    z = process.prior((100, LENGTH))
    before = z.clone()
    ancestral(ExactNetwork(language, process), process, z, uniform_grid(5))
    assert torch.equal(z, before)


@every_noise
def test_the_generator_alone_decides(name):
    language = brute_force.random_language(SIZE, LENGTH, seed=9)
    texts = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        texts.append(sample(language, name, uniform_grid(6), 200))
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])


@pytest.mark.parametrize("steps", [1, 7])
def test_uniform_grid_runs_evenly_from_one_to_zero(steps):
    grid = uniform_grid(steps)
    assert grid.dtype == torch.float64 and len(grid) == steps + 1
    assert grid[0] == 1 and grid[-1] == 0
    torch.testing.assert_close(grid.diff(), torch.full((steps,), -1 / steps).double())


@pytest.mark.parametrize("steps", [0, -3])
def test_a_grid_without_steps_is_refused_by_name(steps):
    with pytest.raises(ValueError, match=rf"sampling\.steps={steps}"):
        uniform_grid(steps)
