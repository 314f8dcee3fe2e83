import math

import numpy as np
import pytest
import torch

from evaluation.perplexity import (
    bits_per_byte,
    in_order,
    sequence_rows,
    stderr_over_sequences,
    summarise,
)


def one_pass(nats, count, index=None):
    index = torch.arange(len(nats)) if index is None else torch.as_tensor(index)
    return index, torch.as_tensor(nats, dtype=torch.float64), torch.as_tensor(count)


def scored_batch(sequences, length):
    nats = torch.rand(sequences, length, generator=torch.Generator().manual_seed(0)) * 9
    scored = torch.rand(sequences, length, generator=torch.Generator().manual_seed(1)) < 0.8
    return torch.randperm(sequences, generator=torch.Generator().manual_seed(2)), nats, scored


def test_the_error_over_sequences_is_the_spread_of_redrawn_texts():
    """Texts drawn again and again from one population, lengths and all."""
    generator = torch.Generator().manual_seed(0)
    means, errors = [], []
    for _ in range(3000):
        count = torch.randint(1, 20, (40,), generator=generator)
        nats = count * (
            2 + torch.randn(40, generator=generator, dtype=torch.float64) / count.sqrt()
        )
        means.append(float(nats.sum() / count.sum()))
        residual = nats - means[-1] * count
        errors.append(stderr_over_sequences(residual, int(count.sum())))
    spread = torch.tensor(means).std().item()
    assert sum(errors) / len(errors) == pytest.approx(spread, rel=0.04)
    whole = summarise([one_pass(nats, count)])
    assert errors[-1] == pytest.approx(whole.data_stderr, rel=1e-6)
    assert stderr_over_sequences(residual[:1], int(count[0])) is None


def test_sums_are_a_loops_sums_and_sorted():
    index, nats, scored = scored_batch(7, 13)
    got_index, got_nats, got_count = in_order(sequence_rows(index, nats, scored))
    assert got_index.tolist() == list(range(7))
    for row, at in enumerate(index.tolist()):
        kept = [n for n, s in zip(nats[row].tolist(), scored[row].tolist(), strict=True) if s]
        assert got_count[at] == len(kept)
        assert got_nats[at].item() == pytest.approx(math.fsum(kept), rel=1e-14)
    assert got_nats.dtype == torch.float64


@pytest.mark.parametrize("length", [1, 2, 5, 64, 40_000])
def test_the_last_bit_depends_on_neither_the_batch_size_nor_the_layout(length):
    index, nats, scored = scored_batch(12, length)
    nats = nats.double().log().square()  # sums of float32 values would be exact in any order
    totals = []
    for batch in (1, 5, 12):
        parts = torch.arange(12).split(batch)
        rows = [sequence_rows(index[part], nats[part], scored[part]) for part in parts]
        totals.append(in_order(torch.cat(rows))[1])
    rows = sequence_rows(index, nats.T.contiguous().T, scored.T.contiguous().T)
    totals.append(in_order(rows)[1])
    assert all(torch.equal(totals[0], other) for other in totals)


def test_sums_of_half_precision_are_made_in_float64():
    index, nats, scored = scored_batch(4, 6)
    half = sequence_rows(index, nats.half(), scored)
    assert half.dtype == torch.float64
    assert torch.equal(half, sequence_rows(index, nats.half().double(), scored))


def test_what_is_not_scored_may_be_anything():
    rows = sequence_rows(
        torch.tensor([0, 1]),
        torch.tensor([[math.nan, 1.0], [math.inf, 2.0]]),
        torch.tensor([[False, True], [False, True]]),
    )
    assert summarise([in_order(rows)]).nats_per_token == 3.0 / 2


def test_a_sequence_scored_twice_is_refused():
    rows = sequence_rows(torch.tensor([3, 8, 3]), torch.ones(3, 2), torch.ones(3, 2).bool())
    with pytest.raises(ValueError, match="sequence 3 was scored twice"):
        in_order(rows)


def test_no_sequence_is_refused():
    rows = sequence_rows(torch.empty(0).long(), torch.empty(0, 5), torch.empty(0, 5).bool())
    with pytest.raises(ValueError, match="no sequence was scored"):
        in_order(rows)


@pytest.mark.parametrize(
    ("index", "nats", "scored"), [((2,), (2, 3), (3,)), ((3,), (2, 3), (2, 3)), ((2,), (2,), (2,))]
)
def test_shapes_that_would_broadcast_are_refused(index, nats, scored):
    with pytest.raises(ValueError, match="are required"):
        sequence_rows(torch.zeros(index).long(), torch.zeros(nats), torch.ones(scored).bool())


def test_one_sequence_goes_through():
    rows = sequence_rows(torch.tensor([5]), torch.tensor([[1.0, 2.0]]), torch.ones(1, 2).bool())
    result = summarise([in_order(rows)], exact=True)
    assert (result.nats_per_token, result.stderr, result.data_stderr) == (1.5, 0.0, None)
    with pytest.raises(ValueError, match=r"eval\.passes=1"):
        summarise([in_order(rows)])


def test_summary_against_numpy():
    generator = np.random.default_rng(0)
    nats = generator.gamma(3.0, 20.0, (4, 50))
    count = generator.integers(1, 30, 50)
    result = summarise([one_pass(row, count) for row in nats])
    assert (result.tokens, result.sequences, result.passes) == (count.sum(), 50, 4)
    assert result.nats_per_token == pytest.approx(nats.mean(0).sum() / count.sum(), rel=1e-13)
    assert result.perplexity == pytest.approx(np.exp(nats.mean(0).sum() / count.sum()))
    variance_of_sum = sum(np.var(column, ddof=1) / 4 for column in nats.T)
    assert result.stderr == pytest.approx(np.sqrt(variance_of_sum) / count.sum())
    assert result.perplexity_stderr == pytest.approx(result.perplexity * result.stderr)
    assert result.stderr_from == "passes"


def test_ratio_error_against_the_jackknife():
    generator = np.random.default_rng(1)
    count = generator.integers(200, 400, 300)
    nats = count * generator.normal(4.0, 0.5, 300)
    result = summarise([one_pass(nats, count)])
    left_out = (nats.sum() - nats) / (count.sum() - count)
    jackknife = np.sqrt(299 / 300 * np.square(left_out - left_out.mean()).sum())
    assert result.data_stderr == pytest.approx(jackknife, rel=0.01)
    assert (result.stderr, result.stderr_from) == (result.data_stderr, "sequences")


def coverage(errors, stderrs):
    return np.mean(np.abs(errors) < 2 * np.asarray(stderrs))


@pytest.mark.parametrize("passes", [2, 5])
def test_error_between_passes_covers_the_bound_of_this_text(passes):
    generator = np.random.default_rng(passes)
    count = generator.integers(5, 60, 80)
    mean = count * generator.uniform(1.0, 8.0, 80)  # the texts differ: not part of this error
    errors, stderrs = [], []
    for _ in range(400):
        nats = mean * generator.exponential(1.0, (passes, 80))
        result = summarise([one_pass(row, count) for row in nats])
        errors.append(result.nats_per_token - mean.sum() / count.sum())
        stderrs.append(result.stderr)
    assert 0.90 < coverage(errors, stderrs) < 0.99


def test_error_between_sequences_covers_new_text():
    generator = np.random.default_rng(7)
    errors, stderrs = [], []
    for _ in range(400):
        count = generator.integers(5, 60, 150)
        nats = count * generator.gamma(4.0, 1.0, 150)  # 4 nats per token in expectation
        result = summarise([one_pass(nats, count)], exact=True)
        errors.append(result.nats_per_token - 4.0)
        stderrs.append(result.data_stderr)
        assert (result.stderr, result.stderr_from) == (0.0, "exact")
    assert 0.90 < coverage(errors, stderrs) < 0.99


def test_error_is_conservative_for_stratified_times():
    generator = np.random.default_rng(3)
    values, stderrs = [], []
    for _ in range(300):
        offset = generator.random((2, 1))
        times = (offset + np.arange(32) / 32) % 1
        result = summarise([one_pass(50 * row, np.full(32, 10)) for row in times])
        values.append(result.nats_per_token)
        stderrs.append(result.stderr)
    assert np.std(values) < np.mean(stderrs)


def test_bits_per_byte():
    assert bits_per_byte(math.log(2) * 8, 4.0) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([one_pass([1.0, 2.0], [1, 1]), one_pass([1.0, 2.0], [1, 2])], "pass 2 scored other"),
        ([one_pass([1.0], [1]), one_pass([1.0], [1], index=[4])], "pass 2 scored other"),
        ([one_pass([1.0, 2.0], [1, 1]), one_pass([1.0], [1])], "pass 2 scored other"),
        ([one_pass([0.0, 0.0], [0, 0])], "none of the tokens"),
        ([one_pass([1.0, math.nan], [1, 1], index=[0, 9])], "sequence 9 are not finite"),
        ([one_pass([math.inf, 1.0], [1, 1])], "sequence 0 are not finite"),
        ([one_pass([9000.0, 9000.0], [1, 1])], "diverged"),
    ],
)
def test_passes_that_cannot_be_summarised(passes, message):
    with pytest.raises(ValueError, match=message):
        summarise(passes)
