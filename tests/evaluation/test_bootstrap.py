import numpy as np
import pytest
from scipy import stats

from evaluation.bootstrap import bootstrap, jackknife, mean, ratio


def test_bootstrap_the_error_of_a_mean_is_that_of_the_formula():
    values = np.random.default_rng(0).gamma(2.0, size=400)
    found = mean(values, seed=3)
    assert found.value == pytest.approx(values.mean(), rel=1e-12)
    assert found.stderr == pytest.approx(stats.sem(values), rel=0.1)
    low, high = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.low == pytest.approx(low, abs=0.3 * stats.sem(values))
    assert found.high == pytest.approx(high, abs=0.3 * stats.sem(values))


def test_bootstrap_intervals_hold_the_truth_as_often_as_they_say():
    generator, held, perplexity = np.random.default_rng(1), 0, np.exp(1.5)
    for trial in range(300):
        tokens = generator.integers(20, 60, size=80).astype(float)
        nats = tokens * generator.normal(1.5, 0.3, size=80)
        found = bootstrap(
            np.stack([nats, tokens], 1), lambda sums: np.exp(ratio(sums)), trial, resamples=400
        )
        held += found.low <= perplexity <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_bootstrap_the_same_seed_gives_the_same_interval_and_one_text_none():
    values = np.arange(20.0)
    assert mean(values, 5) == mean(values, 5) != mean(values, 6)
    assert mean(values[:1], 5) == (0.0, None, None, None)
    assert mean(values[:1], 5).fields("x") == {"x": 0.0, "x_stderr": None, "x_ci": None}


def test_bootstrap_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(2).normal(size=50)
    without = (values.sum() - values) / 49
    assert jackknife(values.mean(), without).stderr == pytest.approx(stats.sem(values), rel=1e-12)


def test_bootstrap_the_interval_of_a_share_ends_at_0_and_1():
    few = jackknife(0.98, np.array([0.9, 0.99, 1.0]))
    assert 0.98 + 1.96 * few.stderr > 1 == few.high and few.low > 0
    assert jackknife(0.02, np.array([0.1, 0.01, 0.0])).low == 0
