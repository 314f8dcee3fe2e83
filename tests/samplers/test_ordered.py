"""Texts revealed in an order, and their likelihood, against enumeration of every text."""

import math
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch

from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ordered import ordered, reveal
from samplers.orders import BLIND, LOOKS, Order, make_order
from samplers.settings import Sampling
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES
from tests.samplers.exact_network import codes
from tests.samplers.table_network import TableNetwork, counts_of

SIZE, LENGTH = 3, 4
PROCESS = Process(SCHEDULES["absorbing cosine closed"], SIZE)
PACES = [{"per_step": k} for k in (1, 2, 3, 4)]
PACES += [{"entropy_bound": bound} for bound in (0.0, 0.3, 0.8, 1.5, 9.0)]
RULES = [*LOOKS, "left-to-right"]
every_pace = pytest.mark.parametrize("pace", PACES, ids=str)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


class Watched:
    """A table network that is told times of its own for every text."""

    def __init__(self, seed=1, warper=None):
        self.table = TableNetwork(SIZE, LENGTH, SIZE, seed=seed, spread=2.0)
        self.warper = warper or LogitsWarper()
        self.shown, self.times = [], []

    def __call__(self, z, t, rows):
        self.shown.append(rows)
        self.times.append(t)
        return Prediction(self.table.head, self.table.outputs[codes(z, SIZE + 1)], self.warper)


def worth(rule, p, position):
    """By another formula: the largest is revealed first."""
    if rule == "left-to-right":
        return -position
    if rule == "confidence":
        return max(p)
    if rule == "margin":
        return sorted(p)[-1] - sorted(p)[-2]
    return sum(q * math.log(q) for q in p)


def picked(laws, text, rule, pace):
    """The positions that come next, in plain Python."""
    row = laws[int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))]
    masks = [place for place, z in enumerate(text) if z == SIZE]
    masks.sort(key=lambda place: (-worth(rule, row[place], place), place))
    if "per_step" in pace:
        return masks[: pace["per_step"]]
    entropy = [-sum(q * math.log(q) for q in row[place]) for place in masks]
    count = 1
    while count < len(masks) and (
        sum(entropy[: count + 1]) - max(entropy[: count + 1]) <= pace["entropy_bound"]
    ):
        count += 1
    return masks[:count]


def law_of(laws, text, rule, pace):
    """{text: probability} of everything that the sampler can write from `text`."""
    where = picked(laws, text, rule, pace) if SIZE in text else []
    if not where:
        return {text: 1.0}
    row = laws[int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))]
    total: dict = {}
    for tokens in product(range(SIZE), repeat=len(where)):
        after, chance = list(text), 1.0
        for place, token in zip(where, tokens, strict=True):
            after[place] = token
            chance *= row[place][token]
        for end, more in law_of(laws, tuple(after), rule, pace).items():
            total[end] = total.get(end, 0.0) + chance * more
    return total


def as_array(law):
    made = np.zeros((SIZE + 1) ** LENGTH)
    for text, chance in law.items():
        made[int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))] = chance
    return made


@pytest.mark.parametrize("rule", RULES)
@every_pace
@pytest.mark.parametrize("text", [(3, 3, 3, 3), (3, 1, 3, 3)])
def test_samples_follow_the_enumerated_law_of_the_order(rule, pace, text):
    network = Watched()
    order = Order(rule, pace.get("per_step"), pace.get("entropy_bound"))
    tokens = ordered(network, PROCESS, torch.tensor(text).repeat(20_000, 1), order)
    law = as_array(law_of(network.table.law(), text, rule, pace))
    assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


def nats_of(network, order, x):
    """-log of the sampler's probability of whole texts (B, L)."""
    nats = torch.zeros(len(x), dtype=torch.float64)

    def told(prediction, where, rows):
        nats[rows] += prediction.nats_at(x[rows], where, SIZE).sum(-1)
        return x[rows]

    assert torch.equal(reveal(network, PROCESS, torch.full_like(x, SIZE), order, told), x)
    return nats


@pytest.mark.parametrize("rule", RULES)
@every_pace
def test_the_likelihoods_of_all_texts_sum_to_one_and_are_the_law(rule, pace):
    network, x = Watched(), torch.tensor(list(product(range(SIZE), repeat=LENGTH)))
    order = Order(rule, pace.get("per_step"), pace.get("entropy_bound"))
    p = nats_of(network, order, x).neg().exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-12)
    law = law_of(network.table.law(), (SIZE,) * LENGTH, rule, pace)
    wanted = [law.get(tuple(text), 0.0) for text in x.tolist()]
    assert np.allclose(p.numpy(), wanted, rtol=1e-9, atol=1e-14)


def test_random_orders_are_all_equally_likely():
    """One at a time: the law of first hitting, each order with the same chance."""
    network = Watched()
    tokens = ordered(network, PROCESS, torch.full((40_000, LENGTH), SIZE), Order("random", 1))
    laws = network.table.law()

    def reached(text):
        masks = [place for place, z in enumerate(text) if z == SIZE]
        if not masks:
            return as_array({text: 1.0})
        row = laws[int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))]
        law = np.zeros((SIZE + 1) ** LENGTH)
        for place in masks:
            for token in range(SIZE):
                after = (*text[:place], token, *text[place + 1 :])
                law += row[place][token] / len(masks) * reached(after)
        return law

    assert brute_force.agrees(counts_of(tokens, SIZE + 1), reached((SIZE,) * LENGTH))


@pytest.mark.parametrize("rule", [*LOOKS, *BLIND])
def test_greedy_tokens_are_the_likeliest_and_the_rule_reads_the_network_itself(rule):
    """top_k=1 makes every cut distribution certain: the order must not be that of the cut one."""
    torch.manual_seed(6)
    greedy = ordered(
        Watched(warper=LogitsWarper(top_k=1)),
        PROCESS,
        torch.full((1, LENGTH), SIZE),
        Order(rule, 1),
    )
    laws, text = Watched().table.law(), (SIZE,) * LENGTH
    if rule == "random":
        return
    while SIZE in text:
        (place,) = picked(laws, text, rule, {"per_step": 1})
        row = laws[int(np.ravel_multi_index(text, (SIZE + 1,) * LENGTH))]
        text = (*text[:place], int(row[place].argmax()), *text[place + 1 :])
    assert tuple(greedy[0].tolist()) == text


def test_evaluations_and_times_are_functions_of_the_masks():
    network = Watched()
    z = torch.tensor([[3, 3, 3, 3], [0, 1, 2, 0], [3, 2, 3, 3]])
    tokens = ordered(network, PROCESS, z, Order("confidence", 2))
    assert torch.cat(network.shown).bincount(minlength=3).tolist() == [2, 0, 2]
    assert (tokens < SIZE).all() and torch.equal(tokens[z < SIZE], z[z < SIZE])
    mask = PROCESS.schedule(network.times[0]).mask[:, 0]
    assert torch.allclose(mask, torch.tensor([1.0, 0.75], dtype=torch.float64))


def test_ties_are_broken_by_position():
    network = Watched()
    network.table.outputs.zero_()
    order, x = Order("entropy", 1), torch.zeros(1, LENGTH, dtype=torch.long)
    seen = []

    def told(prediction, where, rows):
        seen.append(int(where[0].nonzero()))
        return x

    reveal(network, PROCESS, torch.full_like(x, SIZE), order, told)
    assert seen == [0, 1, 2, 3]


def test_refusals():
    reveal_all = partial(ordered, Watched(), Process(SCHEDULES["hybrid 0.1"], SIZE))
    with pytest.raises(ValueError, match=r"sampling\.predictor=ordered: only for noise"):
        reveal_all(torch.full((1, LENGTH), SIZE), Order("random", 1))
    with pytest.raises(ValueError, match=r"sampling\.entropy_bound=1.0: either it or"):
        Order("margin", 1, 1.0)
    with pytest.raises(ValueError, match=r"sampling\.entropy_bound=-1"):
        Order("margin", None, -1.0)
    with pytest.raises(ValueError, match=r"sampling\.per_step=0"):
        Order("margin", 0)
    with pytest.raises(ValueError, match=r"sampling\.per_step=5: at most 4"):
        make_order(Sampling(per_step=5), "margin", 4)
