"""The posterior of a Markov text by messages is that of the full table of all texts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from data.markov import MarkovLanguage
from evaluation.oracle.markov_memory import FadingMessages, messages
from evaluation.oracle.markov_posterior import ContextMessages
from tests.algos.knowing import left_out, texts

# (keep, mask, noise), each text of a batch its own
LEVELS = {
    "absorbing": [(0.3, 0.7, 0.0), (0.9, 0.1, 0.0), (0.5, 0.5, 0.0)],
    "uniform": [(0.3, 0.0, 0.7), (0.999, 0.0, 0.001), (0.01, 0.0, 0.99)],
    "hybrid": [(0.4, 0.4, 0.2), (0.05, 0.9, 0.05), (0.9, 0.05, 0.05)],
}


def known(language: MarkovLanguage) -> list[Tensor]:
    return [torch.from_numpy(language.transition), torch.from_numpy(language.stationary)]


def table(language: MarkovLanguage, length: int) -> np.ndarray:
    """p of every text, (states,) * length."""
    every = torch.from_numpy(texts(language.states, length))
    return (-language.nll(every).sum(1)).exp().reshape((language.states,) * length).numpy()


def seen(z: Tensor, mix: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    """keep (B, 1) and rest (B, L) of texts z (B, L) at levels (B, 3), for `size` tokens."""
    keep, mask, noise = (torch.from_numpy(part)[:, None] for part in mix.T)
    return keep, torch.where(z == size, mask, noise / size)


def noised(language: MarkovLanguage, count: int, length: int, mix: np.ndarray) -> Tensor:
    """True texts (B, L) with the noise of levels (B, 3)."""
    rng = np.random.default_rng(5)
    x, coin = language.texts(count, length, rng), rng.random((count, length))
    token = rng.integers(language.states, size=x.shape)
    keep, mask = mix[:, :1], mix[:, 1:2]
    other = np.where(coin < keep + mask, language.states, token)
    return torch.from_numpy(np.where(coin < keep, x, other))


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("process", LEVELS)
def test_markov_posterior_messages_find_what_the_table_of_all_texts_says(
    process: str, order: int
) -> None:
    language, length = MarkovLanguage(3, order, 0, 0.5), 5
    mix = np.array(LEVELS[process] * 20)
    z = noised(language, len(mix), length, mix)
    made = ContextMessages(*known(language))
    found = made.log_p(made.hidden(z, *seen(z, mix, 3))).exp()
    expected = left_out(table(language, length), mix, z.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("process", LEVELS)
def test_markov_posterior_a_fading_memory_says_the_same_for_fewer_products(process: str) -> None:
    language = MarkovLanguage(128, 1, 0, 0.5)
    mix = np.array(LEVELS[process] * 4)
    z = noised(language, len(mix), 30, mix)
    quick, plain = messages(*known(language)), ContextMessages(*known(language))
    assert isinstance(quick, FadingMessages)
    hidden = quick.hidden(z, *seen(z, mix, 128))
    found = quick.log_p(hidden.flatten(0, 1)).unflatten(0, z.shape).exp()
    expected = plain.log_p(plain.hidden(z, *seen(z, mix, 128))).exp()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=5e-6, atol=1e-12)


def test_markov_posterior_of_a_thousand_symbols_agrees_with_dense_messages_in_float64() -> None:
    language = MarkovLanguage(1000, 1, 0, 0.3)
    mix = np.array([(0.5, 0.2, 0.3)])
    z = noised(language, 1, 1024, mix)
    quick, plain = messages(*known(language)), ContextMessages(*known(language))
    assert isinstance(quick, FadingMessages)
    found = quick.log_p(quick.hidden(z, *seen(z, mix, 1000))[0])
    expected = plain.log_p(plain.hidden(z, *seen(z, mix, 1000)))[0]
    likely = expected > -40
    assert float((found - expected)[likely].abs().max()) < 5e-6
    assert float((found.exp() - expected.exp()).abs().max()) < 1e-6


def test_markov_posterior_a_slow_language_and_a_higher_order_get_messages_over_contexts() -> None:
    for states, order, concentration in ((16, 1, 0.3), (256, 1, 0.003), (20, 2, 0.3)):
        language = MarkovLanguage(states, order, 0, concentration)
        assert isinstance(messages(*known(language)), ContextMessages)


def test_markov_posterior_transitions_of_no_chance_and_texts_that_cannot_be_are_answered() -> None:
    """A cycle: one symbol tells all others; two that disagree leave nothing, which counts as
    nothing known."""
    cycle = torch.eye(3).roll(1, 1).double()
    made = ContextMessages(cycle, torch.full((3,), 1 / 3).double())
    z = torch.tensor([[0, 3, 3, 3], [0, 3, 3, 1]])
    keep = torch.full((2, 1), 0.5, dtype=torch.float64)
    law = made.hidden(z, keep, (z == 3) * keep).exp()
    assert torch.equal(law[0, 1:].argmax(-1), torch.tensor([1, 2, 0]))
    assert torch.equal(law[0, 1:].amax(-1), torch.ones(3).double())
    assert torch.allclose(law.sum(-1), torch.ones(2, 4).double())


@pytest.mark.parametrize("states", [16, 128])
def test_markov_posterior_tokens_that_noise_leaves_nothing_of_stay_finite(states: int) -> None:
    """At the end of time nothing is kept, though a text may begin with what is given."""
    language = MarkovLanguage(states, 1, 0, 0.3)
    made = messages(*known(language))
    z = torch.full((1, 10), states)
    z[0, :3] = torch.tensor([1, 0, 2])
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    law = made.log_p(made.hidden(z, nothing, (z == states).double()).flatten(0, 1)).exp()
    assert torch.allclose(law.sum(-1), torch.ones(10).double())


@pytest.mark.parametrize("states", [16, 128])
def test_markov_posterior_a_text_is_answered_for_itself_whatever_batch_it_is_in(
    states: int,
) -> None:
    language = MarkovLanguage(states, 1, 0, 0.3)
    made, mix = messages(*known(language)), np.array(LEVELS["hybrid"] * 3)
    z = noised(language, len(mix), 12, mix)
    keep, rest = seen(z, mix, states)
    rows = torch.tensor([4, 1, 8])
    few = made.hidden(z[rows], keep[rows], rest[rows])
    torch.testing.assert_close(few, made.hidden(z, keep, rest)[rows], rtol=1e-12, atol=1e-15)
