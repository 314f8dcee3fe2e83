"""The Markov language against brute force: entropy, likelihood, frequencies."""

import itertools
import math

import numpy as np
import pytest
import torch

from data.markov import MarkovLanguage
from tests.data.kinds import entropy_rate


def joint(language: MarkovLanguage, length: int) -> dict[tuple[int, ...], float]:
    """Probability of every sequence, step by step from the stationary contexts."""
    n, k = language.states, language.order
    table: dict[tuple[int, ...], float] = {}
    for context, x in itertools.product(
        itertools.product(range(n), repeat=k), itertools.product(range(n), repeat=length)
    ):
        weight = language.stationary[int("".join(map(str, context)), n)]
        past = list(context)
        for symbol in x:
            row = int("".join(map(str, past[-k:])), n)
            weight *= language.transition[row, symbol]
            past.append(symbol)
        table[x] = table.get(x, 0.0) + weight
    return table


@pytest.mark.parametrize(("states", "order"), [(3, 1), (3, 2), (2, 3)])
def test_nll_is_the_marginal_likelihood_by_enumeration(states: int, order: int) -> None:
    language = MarkovLanguage(states, order, seed=1, concentration=0.5)
    length = order + 3
    tables = [joint(language, cut) for cut in range(1, length + 1)]
    rng = np.random.default_rng(0)
    x = rng.integers(0, states, size=(8, length))
    bos = np.full((8, 1), states)
    nats = language.nll(torch.from_numpy(np.concatenate([bos, x], axis=1)))
    assert nats.dtype == torch.float64 and (nats[:, 0] == 0).all()
    for row, sequence in enumerate(x.tolist()):
        before = 0.0
        for cut, table in enumerate(tables, start=1):
            total = -math.log(table[tuple(sequence[:cut])])
            assert nats[row, cut].item() == pytest.approx(total - before, abs=1e-10)
            before = total


@pytest.mark.parametrize(("states", "order"), [(4, 1), (3, 2)])
def test_entropy_rate_is_the_growth_of_the_block_entropy(states: int, order: int) -> None:
    language = MarkovLanguage(states, order, seed=2, concentration=0.4)
    entropy = [
        -sum(p * math.log(p) for p in joint(language, length).values() if p > 0)
        for length in (order + 2, order + 3)
    ]
    assert entropy_rate(language) == pytest.approx(entropy[1] - entropy[0], abs=1e-10)


def test_stationary_is_a_fixed_point() -> None:
    language = MarkovLanguage(5, 2, seed=0, concentration=0.3)
    n, contexts = 5, 25
    step = np.zeros((contexts, contexts))
    for context, symbol in itertools.product(range(contexts), range(n)):
        step[context, (context * n + symbol) % contexts] += language.transition[context, symbol]
    assert np.abs(language.stationary @ step - language.stationary).max() < 1e-12
    assert language.stationary.sum() == pytest.approx(1.0, abs=1e-12)


def test_a_long_sample_has_the_transitions_and_the_entropy() -> None:
    language = MarkovLanguage(4, 2, seed=5, concentration=0.5)
    x = language.sample(200_000, np.random.default_rng(1))
    context, following = x[:-2] * 4 + x[1:-1], x[2:]
    counts = np.zeros((16, 4))
    np.add.at(counts, (context, following), 1)
    visits = counts.sum(1, keepdims=True)
    deviation = np.sqrt(language.transition * (1 - language.transition) / np.maximum(visits, 1))
    often = visits[:, 0] > 500
    error = np.abs(counts / np.maximum(visits, 1) - language.transition)[often]
    assert often.sum() >= 8 and (error < 4.5 * deviation[often] + 1e-4).all()
    nats = language.nll(torch.from_numpy(x[None]))[0, 2:]
    standard_error = nats.std().item() / math.sqrt(len(nats)) * 3
    assert abs(nats.mean().item() - entropy_rate(language)) < 2 * standard_error


def test_other_tokens_cost_nothing_and_start_anew() -> None:
    language = MarkovLanguage(3, 1, seed=0, concentration=1.0)
    end, mask = 3, 4
    first = -np.log(language.stationary)
    step = -np.log(language.transition)
    nats = language.nll(torch.tensor([[end, 0, 1, end, 2, mask, 1]]))[0]
    expected = [0, first[0], step[0, 1], 0, first[2], 0, first[1]]
    assert nats.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"states": 1}, "data.states=1"),
        ({"order": 0}, "data.order=0"),
        ({"states": 300, "order": 3}, "data.order=3"),
        ({"concentration": 0.0}, "data.concentration=0.0"),
    ],
)
def test_bad_languages_are_refused(arguments: dict[str, float], key: str) -> None:
    good = {"states": 4, "order": 1, "seed": 0, "concentration": 0.5}
    with pytest.raises(ValueError, match=key):
        MarkovLanguage(**{**good, **arguments})
