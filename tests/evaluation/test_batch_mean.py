"""The mean of token means of batches, as some published numbers are taken."""

import numpy as np
import pytest
import torch

from evaluation.perplexity import summarise


def a_pass(nats: np.ndarray, count: np.ndarray) -> tuple:
    return torch.arange(len(nats)), torch.as_tensor(nats), torch.as_tensor(count)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    count = generator.integers(1, 40, 21)
    return count * generator.gamma(4.0, 1.0, (3, 21)), count


@pytest.mark.parametrize("batch", [1, 2, 8, 21, 50])
def test_batch_mean_against_a_loop_over_batches(
    drawn: tuple[np.ndarray, np.ndarray], batch: int
) -> None:
    nats, count = drawn
    totals, variances = [], []
    for start in range(0, 21, batch):
        part = slice(start, start + batch)
        size = len(count[part])
        totals.append(size * nats[:, part].mean(0).sum() / count[part].sum())
        variances.append(nats[:, part].var(0, ddof=1).sum() * (size / count[part].sum()) ** 2 / 3)
    found = summarise([a_pass(row, count) for row in nats], batch=batch)
    assert found.nats_per_token == pytest.approx(sum(totals) / 21, rel=1e-12)
    assert found.stderr == pytest.approx(np.sqrt(sum(variances)) / 21, rel=1e-12)
    assert found.perplexity == pytest.approx(np.exp(sum(totals) / 21))


def test_batch_mean_batches_of_one_size_and_length_change_nothing() -> None:
    nats = np.random.default_rng(1).gamma(4.0, 1.0, (2, 24))
    passes = [a_pass(row, np.full(24, 7)) for row in nats]
    ours, theirs = summarise(passes), summarise(passes, batch=8)
    assert theirs.nats_per_token == pytest.approx(ours.nats_per_token, rel=1e-14)
    assert theirs.stderr == pytest.approx(ours.stderr, rel=1e-14)


def test_batch_mean_the_error_on_new_text_is_that_between_batches() -> None:
    """Two standard errors cover the expected number of a mean over batches about 19 times in 20."""
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        count = generator.integers(20, 40, 240)
        found = summarise([a_pass(count * generator.gamma(4.0, 1.0, 240), count)], batch=8)
        assert found.data_stderr is not None
        covered += abs(found.nats_per_token - 4.0) < 2 * found.data_stderr
    assert 0.90 < covered / 400 < 0.99


def test_batch_mean_one_batch_has_no_error_of_its_own(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    nats, count = drawn
    assert summarise([a_pass(nats[0], count)], exact=True, batch=21).data_stderr is None
    with pytest.raises(ValueError, match=r"eval\.passes=1: one pass over one sequence or one"):
        summarise([a_pass(nats[0], count)], batch=21)


def test_batch_mean_a_batch_without_a_scored_token_is_refused() -> None:
    with pytest.raises(ValueError, match=r"eval\.batch_mean=1: a batch has no scored token"):
        summarise([a_pass(np.ones(2), np.array([3, 0]))], batch=1)
