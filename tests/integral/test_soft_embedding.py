import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from integral import gaussians
from integral import soft_embedding as module
from integral.competitors import competitors, soft_tokens
from integral.gaussians import Rows
from integral.soft_embedding import soft_embedding
from tests.diffusion.tensor_sizes import LargestTensor
from tests.integral.reference import quadrature


@dataclass
class Case:
    """Some positions of a vocabulary, in chunks of a few rows each."""

    size: int
    tau: float
    x: Tensor
    gamma: Tensor
    table: Tensor
    seed: int = 5

    def run(self, table=None):
        torch.manual_seed(self.seed)
        table = self.table if table is None else table
        return soft_embedding(self.x, self.gamma, self.tau, table, self.size)

    def weights(self):
        """softmax(w / tau) (B, L, N) in float64 of the same normals."""
        torch.manual_seed(self.seed)
        seeds = torch.randint(2**53, (len(self.x),)).tolist()
        mu = torch.exp(-self.gamma.double() / 2).unsqueeze(-1).expand(self.x.shape).flatten()
        rows = Rows(self.x.flatten(), mu.float(), mu.float())
        width = gaussians.padded(self.size)
        heights = torch.empty(len(rows.x), width)
        together = min(module.CHUNK_BYTES["cpu"] // (4 * width), module.GROUP // width + 1)
        parts = gaussians.runs(seeds, self.x.shape[1], together)
        gaussians.draw(heights, rows, self.size, parts)
        heights = heights[:, : self.size].double().view(*self.x.shape, self.size)
        sharp = torch.sqrt(torch.sigmoid(self.gamma.double())) / self.tau
        return (sharp[:, None, None] * heights).softmax(-1), heights.argmax(-1)


# (N, tau, whether few terms of a chunk's softmax matter)
CASES = [(3, 0.5, {False}), (3000, 1e-4, {True}), (3000, 0.01, {True, False}), (3000, 1.0, {False})]


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    size, tau, _ = request.param
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 4 * gaussians.padded(size) * 7)
    torch.manual_seed(3)
    table = torch.randn(size + 1, 6, requires_grad=True)
    return Case(size, tau, torch.randint(size, (2, 13)), torch.tensor([-2.0, 0.5]), table)


@pytest.mark.parametrize("case, ways", [(case, case[2]) for case in CASES], indirect=["case"])
def test_both_ways_are_taken(case, ways, monkeypatch):
    taken, peaks = set(), gaussians.peaks

    def watched(*arguments):
        found = peaks(*arguments)
        taken.add(found is not None)
        return found

    monkeypatch.setattr(gaussians, "peaks", watched)
    case.run()
    assert taken == ways


def test_it_is_the_dense_softmax_of_the_same_normals(case):
    z, embedded = case.run()
    weights, best = case.weights()
    expected = weights @ case.table[: case.size].double()
    assert torch.equal(z, best)
    torch.testing.assert_close(embedded.double(), expected, rtol=1e-4, atol=2e-4)


def test_the_gradient_is_the_dense_one_and_spares_the_rows_behind_the_vocabulary(case):
    _, embedded = case.run()
    factors = torch.randn_like(embedded)
    embedded.backward(factors)
    weights, _ = case.weights()
    expected = weights.flatten(0, 1).T @ factors.flatten(0, 1).double()
    torch.testing.assert_close(
        case.table.grad[: case.size].double(), expected, rtol=1e-4, atol=2e-4
    )
    assert (case.table.grad[case.size :] == 0).all()


def test_the_gradient_by_finite_differences(case):
    _, embedded = case.run()
    factors = torch.randn_like(embedded)
    embedded.backward(factors)
    direction = torch.randn_like(case.table)
    with torch.no_grad():
        ends = [case.run(case.table + step * direction)[1] for step in (1, -1)]
    expected = ((ends[0] - ends[1]) / 2 * factors).sum()
    torch.testing.assert_close((case.table.grad * direction).sum(), expected, rtol=1e-4, atol=1e-4)


def test_autocast_and_the_number_of_threads_change_nothing(case, monkeypatch):
    z, embedded = case.run()
    embedded.sum().backward()
    gradient, case.table.grad = case.table.grad, None
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        other, again = case.run()
        again.sum().backward()
    assert torch.equal(z, other) and torch.equal(embedded, again)
    assert again.dtype == torch.float32 and torch.equal(gradient, case.table.grad)


def test_a_low_precision_table_is_summed_in_float32(case):
    table = case.table.detach().bfloat16().requires_grad_()
    _, embedded = case.run(table)
    _, expected = case.run(table.detach().float())
    assert embedded.dtype == torch.bfloat16 and torch.equal(embedded, expected.bfloat16())
    embedded.sum().backward()
    assert table.grad.dtype == torch.bfloat16


def test_it_runs_without_gradients_and_in_inference_mode(case):
    _, expected = case.run()
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert torch.equal(case.run()[1], expected)


def test_groups_of_one_generator_are_drawn_apart(monkeypatch):
    rows = Rows(torch.zeros(90, dtype=torch.long), torch.zeros(90), torch.ones(90))
    drawn = []
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        drawn.append(torch.empty(90, gaussians.padded(300)))
        gaussians.draw(drawn[-1], rows, 300, gaussians.runs([8, 9, 10], 30, 4))
    assert torch.equal(*drawn)
    normals = drawn[0][:, :300]
    assert len(normals.flatten().unique()) > 26_900 and (drawn[0][:, 300:] == -math.inf).all()
    assert abs(normals.mean()) < 4 / math.sqrt(27_000) and abs(normals.std() - 1) < 0.02


@pytest.mark.parametrize("tau", [1e-3, 1.0])
def test_an_example_is_the_same_in_any_batch(tau, monkeypatch):
    size = 3000
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 4 * gaussians.padded(size) * 7)
    torch.manual_seed(9)
    table, x = torch.randn(size, 4), torch.randint(size, (5, 13))
    gamma, seeds = torch.linspace(-3, 1, 5), torch.tensor([3, 1, 2**52, 5, 4])
    z, embedded = soft_embedding(x, gamma, tau, table, size, seeds)
    for part in (slice(0, 1), slice(1, 4), slice(4, 5)):
        alone = soft_embedding(x[part], gamma[part], tau, table, size, seeds[part])
        assert torch.equal(alone[0], z[part])
        torch.testing.assert_close(alone[1], embedded[part], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "size, count, gamma", [(2, 100_000, 1.0), (7, 100_000, 0.0), (900, 20_000, -2.5)]
)
def test_a_token_stays_as_often_as_the_operator_says(size, count, gamma):
    torch.manual_seed(6)
    x = torch.randint(size, (1, count))
    gamma = torch.tensor([gamma], dtype=torch.float64)
    z, _ = soft_embedding(x, gamma, 1e-3, torch.zeros(size, 1), size)
    keep = float(quadrature(gamma, size)[0])
    chance = keep + (1 - keep) / size
    stayed = float((z == x).double().mean())
    assert abs(stayed - chance) < 4 * math.sqrt(chance * (1 - chance) / count)


@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_soft_tokens_with_all_competitors_have_the_same_law(tau):
    """Mean and second moment of the embedding, for every token and gamma of a batch row."""
    torch.manual_seed(7)
    size, count = 5, 60_000
    table = torch.randn(size, 3)
    x = torch.tensor([[1], [4]]).expand(2, count)
    gamma = torch.tensor([-1.0, 0.5], dtype=torch.float64)
    _, full = soft_embedding(x, gamma, tau, table, size)
    tokens, weights = soft_tokens(competitors(x, size - 1, size), x, gamma, tau, size)
    few = (table[tokens] * weights.unsqueeze(-1)).sum(-2)
    for a, b in ((full, few), (full**2, few**2)):
        error = ((a.var(1) + b.var(1)) / count).sqrt()
        assert ((a.mean(1) - b.mean(1)).abs() < 4 * error).all()


def test_no_tensor_over_batch_length_and_vocabulary(monkeypatch):
    size, positions, width = 1000, 64, 4
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 4 * gaussians.padded(size) * 5)
    table = torch.randn(size, width, requires_grad=True)
    x = torch.randint(size, (4, positions // 4))
    for tau in (1e-3, 1.0):
        with LargestTensor() as largest:
            _, embedded = soft_embedding(x, torch.full((4,), -2.0), tau, table, size)
            embedded.sum().backward()
        assert largest.elements <= 5 * gaussians.padded(size)
