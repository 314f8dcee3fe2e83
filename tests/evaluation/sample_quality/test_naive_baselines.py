from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from evaluation.sample_quality import naive_baselines

TRAINING = np.random.default_rng(0).integers(4, size=(200, 30)).tolist()


def share(texts, context, token):
    followers = [
        row[at + len(context)]
        for row in texts
        for at in range(len(row) - len(context))
        if row[at : at + len(context)] == context
    ]
    return Counter(followers)[token] / len(followers)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_naive_baselines_a_chain_has_the_statistics_of_its_order(order):
    skewed = [[min(a, b) for a, b in pairwise(row)] for row in TRAINING]
    made = naive_baselines.chain(skewed, order, [[0] * 40] * 600, 1, 1.0, 1)
    context = [1, 0][: order - 1]
    expected = share([row[1:] for row in skewed] if order == 1 else skewed, context, 0)
    assert share([row[1:] for row in made], context, 0) == pytest.approx(expected, abs=0.03)


def test_naive_baselines_a_low_temperature_sharpens_and_an_unseen_context_backs_off():
    chain = naive_baselines.Chain([[0, 1, 1, 1, 2]], order=2)
    generator = np.random.default_rng(0)
    cool = [chain.text([1], 2, 0.2, generator)[1] for _ in range(300)]
    assert set(cool) == {1, 2} and np.mean(np.array(cool) == 1) > 0.9  # (2/3)^5 to (1/3)^5
    assert {chain.text([2], 2, 1.0, generator)[1] for _ in range(100)} == {1, 2}


def test_naive_baselines_the_others_keep_what_they_say():
    like = [[9, *range(20)], [9, *range(20, 32)]]
    mixed = naive_baselines.shuffled(like, 1, 0)
    assert [sorted(row) for row in mixed] == [sorted(row) for row in like] and mixed != like
    assert all(row[0] == 9 for row in mixed)
    assert naive_baselines.one_text(like) == [like[0], like[0]]
    phrases = naive_baselines.phrases(like, 1)
    assert [len(row) for row in phrases] == [21, 13] and phrases[0][1:9] == phrases[0][9:17]
