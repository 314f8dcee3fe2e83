"""SEDD's steps against its formulas with matrix exponentials, for scores of any size."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from diffusion.process import Process
from diffusion.schedule import ALPHAS, Absorbing, Closed, Uniform, started
from samplers.grids import uniform_grid
from samplers.score import analytic, euler
from tests.diffusion import brute_force
from tests.diffusion.cases import times
from tests.samplers.table_network import TableNetwork, counts_of, follows

SIZE, LENGTH = 3, 2
KINDS = {"absorbing": (Absorbing, Closed), "uniform": (Uniform, started)}
STEPS = {
    "analytic": (analytic, brute_force.analytic_step),
    "euler": (euler, brute_force.euler_step),
}
TEXTS = {"absorbing": [(3, 3), (3, 1), (2, 1)], "uniform": [(0, 0), (2, 1)]}
CASES = [(kind, text) for kind, known in TEXTS.items() for text in known]
every_case = pytest.mark.parametrize(("kind", "text"), CASES)
every_rule = pytest.mark.parametrize("rule", STEPS)
shapes = pytest.mark.parametrize("shape", ["log-linear", "geometric"])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(40)


def process_of(kind, shape):
    noise, ends = KINDS[kind]
    return Process(noise(ends(ALPHAS[shape]())), SIZE)


def keep_of(kind, shape, t):
    """alpha(t) as SEDD evaluates and samples with it."""
    alpha = {"log-linear": brute_force.log_linear, "geometric": brute_force.geometric}[shape]
    return brute_force.closed(alpha, t) if kind == "absorbing" else alpha(t) / alpha(0.0)


def sigma_rate(kind, shape, t):
    h = 1e-3 * min(t, 1 - t)
    log = [math.log(keep_of(kind, shape, t + i * h)) for i in (-2, -1, 1, 2)]
    return (8 * (log[1] - log[2]) - (log[0] - log[3])) / (12 * h)


def scores_of(outputs, kind, keep, z):
    """(N+1,) from outputs (N,): one at z; a masked position's scaled by alpha / (1 - alpha) / N."""
    scores = np.append(np.exp(outputs), 0.0)
    if kind == "absorbing":
        scores *= keep / (1 - keep) / SIZE
    scores[z] = 1.0
    return scores


def kernel(network, kind, shape, t, s, rule):
    """(S^L, S^L) of one step; the last is the analytic one, without the mask."""
    rates, keep = brute_force.rate_matrix(kind, SIZE), keep_of(kind, shape, t)
    outputs = network.outputs.numpy()
    step = STEPS["analytic" if s == 0 else rule][1]
    sigma = math.log(keep_of(kind, shape, s) / keep)
    if step is brute_force.euler_step:
        sigma = (t - s) * sigma_rate(kind, shape, t)

    def moved(row, position, z):
        if kind == "absorbing" and z < SIZE:
            return np.eye(SIZE + 1)[z]
        if kind == "uniform" and z == SIZE:
            return np.eye(SIZE + 1)[z]  # never reached
        scores = scores_of(outputs[row, position], kind, keep, z)
        if kind == "absorbing" and s == 0:
            scores[SIZE] = 0.0
            return brute_force.positive(scores)
        return step(scores, z, rates, sigma)

    return brute_force.product_kernel(moved, SIZE, LENGTH)


@every_case
@every_rule
@shapes
@pytest.mark.parametrize(("t", "s"), [(0.7, 0.6), (0.7, 0.1), (0.4, 0.0)])
def test_one_step_is_the_formula_with_matrix_exponentials(kind, text, rule, shape, t, s):
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=41)
    process, expected = process_of(kind, shape), kernel(network, kind, shape, t, s, rule)
    assert follows(STEPS[rule][0], network, process, text, times(t, s), expected, count=40_000)


@every_rule
@pytest.mark.parametrize("kind", KINDS)
def test_estimates_below_zero_count_as_zero(kind, rule):
    """Scores e^4 times too large: every mask goes at once, or no token can stay as it is."""
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=42)
    network.outputs += 4.0
    text = (3, 3) if kind == "absorbing" else (1, 2)
    expected = kernel(network, kind, "log-linear", 0.7, 0.3, rule)
    start = int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))
    assert expected[start, start] == 0
    process = process_of(kind, "log-linear")
    assert follows(STEPS[rule][0], network, process, text, times(0.7, 0.3), expected)


@every_rule
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_run_follows_the_product_of_its_steps(kind, rule):
    network, grid = TableNetwork(SIZE, LENGTH, SIZE, seed=43), uniform_grid(4)
    process = process_of(kind, "log-linear")
    one = np.eye(SIZE + 1)[SIZE] if kind == "absorbing" else np.append(np.full(SIZE, 1 / SIZE), 0)
    law = np.kron(one, one)
    for t, s in pairwise(grid.tolist()):
        near = 1 - 1e-9 if t == 1 else t  # for logarithms and differences of alpha
        law = law @ kernel(network, kind, "log-linear", near, s, rule)
    tokens = STEPS[rule][0](network, process, process.prior((60_000, LENGTH)), grid)
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


@every_rule
@pytest.mark.parametrize("kind", KINDS)
def test_clamped_positions_stay_and_the_network_sees_them(kind, rule):
    network, process = TableNetwork(SIZE, LENGTH, SIZE, seed=44), process_of(kind, "log-linear")
    seen = []

    def clamp(z):
        return torch.cat([torch.full_like(z[:, :1], 2), z[:, 1:]], 1)

    def denoise(z, t, rows):
        seen.append(z)
        return network(z, t)

    grid = uniform_grid(5)
    tokens = STEPS[rule][0](denoise, process, process.prior((500, LENGTH)), grid, clamp=clamp)
    assert seen and all((z[:, 0] == 2).all() for z in [*seen, tokens])
    assert (tokens < SIZE).all()


@every_rule
def test_unmasking_ends_when_nothing_is_masked(rule):
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=45)
    network.outputs += 5.0
    process = process_of("absorbing", "log-linear")
    STEPS[rule][0](network, process, process.prior((1, LENGTH)), uniform_grid(1000))
    assert len(network.calls) < 1000
    assert network.calls[0] == 1.0


@every_rule
def test_a_text_without_masks_is_not_shown(rule):
    network, shown = TableNetwork(SIZE, LENGTH, SIZE, seed=46), []

    def denoise(z, t, rows):
        shown.append(rows.tolist())
        assert z.shape == (len(rows), LENGTH) and (z == SIZE).any(-1).all()
        return network(z, t, rows)

    process = process_of("absorbing", "log-linear")
    z = torch.tensor([[0, 1], [SIZE, 2], [1, 1], [SIZE, SIZE]])
    once = STEPS[rule][0](denoise, process, z, times(0.7, 0.6))
    assert torch.equal(once[z < SIZE], z[z < SIZE])
    tokens = STEPS[rule][0](denoise, process, z, uniform_grid(30))
    assert shown[0] == shown[1] == [1, 3]
    assert (tokens < SIZE).all() and torch.equal(tokens[z < SIZE], z[z < SIZE])


@every_rule
def test_half_of_a_batch_goes_on_by_its_own_text(rule):
    """The knowledge of the texts that go on is not mixed up with those that are complete."""
    network, process = (
        TableNetwork(SIZE, LENGTH, SIZE, seed=47),
        process_of("absorbing", "geometric"),
    )
    z = torch.tensor([[1, 0], [SIZE, 1]]).repeat(40_000, 1)
    reached = STEPS[rule][0](network, process, z, times(0.7, 0.2))
    assert torch.equal(reached[::2], z[::2])
    law = kernel(network, "absorbing", "geometric", 0.7, 0.2, rule)
    start = int(np.ravel_multi_index((SIZE, 1), (SIZE + 1,) * LENGTH))
    assert brute_force.agrees(counts_of(reached[1::2], SIZE + 1), law[start])
