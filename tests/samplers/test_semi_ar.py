"""Long texts from windows, with a sampler that knows a Markov language exactly."""

import numpy as np
import pytest
import torch

from samplers.semi_ar import semi_ar
from tests.diffusion import brute_force
from tests.samplers.exact_network import POISON

SIZE, BOS = 3, 0  # BOS is a token like others, and says nothing of what follows
CHAIN = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.1, 0.4]])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(90)


def stationary():
    values, vectors = np.linalg.eig(CHAIN.T)
    one = vectors[:, values.real.argmax()].real
    return one / one.sum()


class Windows:
    """Exact samples of a stretch of the chain behind `opening` tokens that say nothing."""

    def __init__(self, opening=1):
        self.opening = opening
        self.seen = []

    def __call__(self, tokens, fixed):
        self.seen.append((tokens.clone(), fixed.clone()))
        assert fixed[:, : self.opening].all()
        length = tokens.shape[1] - self.opening
        texts = np.stack(np.unravel_index(np.arange(SIZE**length), (SIZE,) * length), -1)
        law = stationary()[texts[:, 0]]
        for before, after in zip(texts.T, texts.T[1:], strict=False):
            law = law * CHAIN[before, after]
        texts, weights = torch.from_numpy(texts), torch.from_numpy(law).expand(len(tokens), -1)
        given, known = tokens[:, self.opening :], fixed[:, self.opening :]
        for place in range(length):
            fits = (texts[:, place] == given[:, place : place + 1]) | ~known[:, place : place + 1]
            weights = weights * fits
        chosen = texts[torch.multinomial(weights, 1).squeeze(-1)]
        return torch.cat([tokens[:, : self.opening], chosen], 1)


def begun(count, length, opening=1):
    tokens = torch.full((count, length), POISON)
    tokens[:, :opening] = BOS
    fixed = torch.zeros(count, length, dtype=torch.bool)
    fixed[:, :opening] = True
    return tokens, fixed


@pytest.mark.parametrize(("window", "stride", "opening"), [(5, 2, 1), (5, 3, 1), (4, 2, 0)])
def test_long_texts_have_the_transitions_of_the_language(window, stride, opening):
    """Inside a window and over every seam."""
    tokens, fixed = begun(20_000, 12, opening)
    made = semi_ar(Windows(opening), tokens, fixed, window, stride, opening)
    assert made.shape == (20_000, 12) and made.min() >= 0 and made.max() < SIZE
    law = (stationary()[:, None] * CHAIN).flatten()
    for place in range(opening, 11):
        pairs = made[:, place] * SIZE + made[:, place + 1]
        assert brute_force.agrees(np.bincount(pairs, minlength=SIZE**2), law)


def test_a_window_holds_bos_the_last_tokens_and_room_for_the_stride():
    windows, (tokens, fixed) = Windows(), begun(7, 12)
    made = semi_ar(windows, tokens, fixed, 6, 4)
    assert [seen.shape[1] for seen, _ in windows.seen] == [6, 6, 6]
    ends = [6, 10, 12]  # the last window has 2 new tokens only
    for (seen, known), before, end in zip(windows.seen[1:], ends, ends[1:], strict=False):
        old = 6 - (end - before)
        assert (seen[:, 0] == BOS).all() and torch.equal(known[0], torch.arange(6) < old)
        assert torch.equal(seen[:, 1:old], made[:, end - 5 : before])


def test_fixed_tokens_stay_wherever_they_are_and_shape_what_is_near():
    tokens, fixed = begun(30_000, 9)
    for place, token in ((2, 1), (7, 2)):
        tokens[:, place], fixed[:, place] = token, True
    made = semi_ar(Windows(), tokens, fixed, 5, 2)
    assert (made[:, 2] == 1).all() and (made[:, 7] == 2).all()
    between = CHAIN[1] * CHAIN[:, 0]  # x_3 after x_2 = 1 and before x_4 = 0, in the first window
    some = made[made[:, 4] == 0, 3]
    assert brute_force.agrees(np.bincount(some, minlength=SIZE), between / between.sum())
    ahead = CHAIN[0] * CHAIN[:, 2]  # x_6 after x_5 = 0, seen together with the fixed x_7 = 2
    some = made[made[:, 5] == 0, 6]
    assert not brute_force.agrees(np.bincount(some, minlength=SIZE), ahead / ahead.sum())
    assert brute_force.agrees(np.bincount(some, minlength=SIZE), CHAIN[0])  # window 2 ends with x_6
    assert brute_force.agrees(np.bincount(made[:, 8], minlength=SIZE), CHAIN[2])


@pytest.mark.parametrize("length", [3, 6])
def test_a_text_that_fits_is_one_call(length):
    windows, (tokens, fixed) = Windows(), begun(50, length)
    made = semi_ar(windows, tokens, fixed, 6, 2)
    assert len(windows.seen) == 1 and made.shape == (50, length)


def test_the_given_tokens_are_not_changed_in_place():
    tokens, fixed = begun(3, 9)
    before = tokens.clone()
    semi_ar(Windows(), tokens, fixed, 5, 2)
    assert torch.equal(tokens, before)


@pytest.mark.parametrize("stride", [0, -1, 4, 5])
def test_a_stride_without_context_or_progress_is_refused_by_name(stride):
    windows = Windows()
    with pytest.raises(ValueError, match=rf"sampling\.stride={stride}: from 1 to 3, "):
        semi_ar(windows, *begun(3, 9), 5, stride)
    assert not windows.seen
