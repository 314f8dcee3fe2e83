"""Changes of a prediction before a draw, draws by weights, and steps taken in place."""

import math

import numpy as np
import pytest
import torch

from diffusion.categorical import draw, draw_weighted
from diffusion.in_place import add_at_, exponentials_
from diffusion.logits_warper import LogitsWarper
from tests.diffusion import brute_force


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(60)


def law_of(logits, warper):
    return warper(logits).double().softmax(-1)


def test_it_changes_nothing_unless_asked_to():
    logits = torch.randn(4, 9)
    assert torch.equal(LogitsWarper()(logits), logits)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_temperature_is_a_power_of_the_law(temperature):
    logits = torch.randn(4, 9).double()
    power = logits.softmax(-1) ** (1 / temperature)
    expected = power / power.sum(-1, keepdim=True)
    actual = law_of(logits, LogitsWarper(temperature=temperature))
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("min_p", [1e-3, 0.2, 0.7, 0.999])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_min_p_drops_what_is_below_its_share_of_the_likeliest_and_nothing_else(min_p, temperature):
    """The share is of the law at the temperature, and the rest keeps its proportions."""
    logits = 3 * torch.randn(200, 30).double()
    plain = law_of(logits, LogitsWarper(temperature))
    kept = plain >= min_p * plain.amax(-1, keepdim=True)
    expected = plain * kept / (plain * kept).sum(-1, keepdim=True)
    actual = law_of(logits, LogitsWarper(temperature, min_p))
    assert kept.any(-1).all() and not kept.all()
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("min_p", [0.5, 0.99, 1 - 1e-9])
def test_the_likeliest_stays_even_where_rounding_is_coarse(min_p):
    logits = 1e4 + 5 * torch.randn(500, 30)
    assert (LogitsWarper(min_p=min_p)(logits).amax(-1) == logits.amax(-1)).all()
    flat = torch.full((3, 30), -1e4)
    assert LogitsWarper(min_p=min_p)(flat).isfinite().all()  # all are likeliest


def test_what_it_is_given_stays_as_it_was():
    logits = torch.randn(4, 9)
    before = logits.clone()
    LogitsWarper(temperature=0.5, min_p=0.5)(logits)
    assert torch.equal(logits, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0.0}, r"sampling\.temperature=0.0: must be positive"),
        ({"temperature": -1.0}, r"sampling\.temperature=-1.0"),
        ({"temperature": math.nan}, r"sampling\.temperature=nan"),
        ({"min_p": -0.1}, r"sampling\.min_p=-0.1: must be at least 0 and below 1"),
        ({"min_p": 1.0}, r"sampling\.min_p=1.0"),
        ({"min_p": math.nan}, r"sampling\.min_p=nan"),
    ],
)
def test_bad_values_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        LogitsWarper(**options)


@pytest.mark.parametrize("size", [2, 3, 255, 256, 257, 700])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_draws_by_weights_follow_them_whatever_their_scale(size, scale):
    """By an even comb of uniforms: every token gets its share to one tooth."""
    weights, teeth = torch.rand(size) ** 3, 20_000
    weights[torch.rand(size) < 0.3] = 0.0
    weights[size // 2] = 1.0
    comb = (torch.arange(teeth, dtype=torch.float64) + 0.5) / teeth
    given = (weights * scale).expand(4000, size)
    drawn = torch.cat([draw_weighted(given[: len(u)], u) for u in comb.split(4000)])
    share = (weights * scale).double() / (weights * scale).double().sum()
    counts = np.bincount(drawn, minlength=size)
    assert abs(counts - share.numpy() * teeth).max() <= 1.01
    assert (counts[(weights == 0).numpy()] == 0).all()


def test_each_row_of_weights_is_its_own_law():
    weights = torch.rand(5, 4)
    drawn = draw_weighted(weights.repeat(20_000, 1)).view(-1, 5)
    for row, law in enumerate(weights.double() / weights.double().sum(-1, keepdim=True)):
        counts = np.bincount(drawn[:, row], minlength=4)
        assert brute_force.agrees(counts, law.numpy())


def test_draws_by_logits_are_draws_by_their_exponentials():
    logits, uniform = 3 * torch.randn(300, 600), torch.rand(300, dtype=torch.float64)
    assert torch.equal(draw(logits, uniform), draw_weighted(logits.double().exp(), uniform))


def test_weights_stay_as_they_were():
    weights = torch.rand(50, 300)
    before = weights.clone()
    draw_weighted(weights)
    assert torch.equal(weights, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_exponentials_in_place_tell_the_logarithms_that_underflow(dtype, spread):
    logits = (spread * torch.randn(40, 7)).to(dtype)
    logits[:, 3] = -torch.inf
    first, second = torch.randint(3, (40,)), torch.randint(4, 7, (40,))
    written = logits.clone()
    total, found = exponentials_(written, first, second)
    written /= total[:, None]
    log_p = logits.double().log_softmax(-1)
    accuracy = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(written.double(), log_p.exp(), rtol=accuracy * 300, atol=1e-37)
    for ours, token in zip(found, (first, second), strict=True):
        expected = log_p.gather(-1, token[:, None])[:, 0]
        assert ours.dtype == dtype and ours.isfinite().all()
        torch.testing.assert_close(ours.double(), expected, rtol=accuracy, atol=accuracy * spread)
    assert spread == 1 or (written[:, [0, 1, 2]] == 0).any()


def test_adding_at_a_token_touches_its_entry_alone():
    values, token, amount = torch.randn(6, 5), torch.randint(5, (6,)), torch.randn(6).double()
    expected = values.clone()
    for row in range(6):
        expected[row, token[row]] += float(amount[row])
    add_at_(values, token, amount)
    torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)


def nucleus_of(p, top_p, crossing):
    """The tokens of one row that stay, by walking down from the likeliest."""
    order, mass, kept = sorted(range(len(p)), key=lambda j: -p[j]), 0.0, set()
    for token in order:
        fits = mass < top_p if crossing else mass + p[token] <= top_p
        if not fits and kept:
            break
        kept.add(token)
        mass += p[token]
    return kept


@pytest.mark.parametrize("nucleus", ["keep-crossing", "drop-crossing"])
@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("size", [2, 40, 3000])
def test_the_nucleus_is_what_a_walk_down_from_the_likeliest_finds(nucleus, top_p, size):
    """At 3000 tokens the first look at the likeliest ones is not enough for all rows."""
    logits = torch.tensor([0.1, 1.0, 4.0]).repeat(4).unsqueeze(-1).double() * torch.randn(12, size)
    plain = logits.softmax(-1)
    actual = law_of(logits, LogitsWarper(top_p=top_p, nucleus=nucleus))
    for before, after in zip(plain.tolist(), actual.tolist(), strict=True):
        kept = nucleus_of(before, top_p, nucleus == "keep-crossing")
        assert {j for j, p in enumerate(after) if p > 0} == kept
        total = sum(before[j] for j in kept)
        assert after == pytest.approx([p / total * (j in kept) for j, p in enumerate(before)])


def test_both_nuclei_keep_one_token_at_least_and_differ_by_the_one_that_crosses():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = {
        name: (law_of(logits, LogitsWarper(top_p=0.7, nucleus=name)) > 0).tolist()[0]
        for name in ("keep-crossing", "drop-crossing")
    }
    assert kept["keep-crossing"] == [True, True, False, False]
    assert kept["drop-crossing"] == [True, False, False, False]
    sure = torch.tensor([[0.99, 0.01]]).log()
    assert law_of(sure, LogitsWarper(top_p=0.5, nucleus="drop-crossing")).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("top_k", [1, 3, 9, 50])
def test_top_k_keeps_the_likeliest_in_their_proportions(top_k):
    logits = torch.randn(30, 9).double()
    plain = logits.softmax(-1)
    rank = plain.argsort(-1, descending=True).argsort(-1)
    expected = plain * (rank < top_k)
    expected /= expected.sum(-1, keepdim=True)
    torch.testing.assert_close(
        law_of(logits, LogitsWarper(top_k=top_k)), expected, rtol=1e-12, atol=0
    )


def test_of_equals_top_k_keeps_as_many_as_asked():
    assert (law_of(torch.zeros(5, 8), LogitsWarper(top_k=3)) > 0).sum(-1).tolist() == [3] * 5


def test_one_follows_the_other_temperature_first_min_p_last():
    logits = 2 * torch.randn(50, 30).double()
    every = LogitsWarper(temperature=0.7, top_k=12, top_p=0.8, min_p=0.2)
    alone = (
        LogitsWarper(temperature=0.7),
        LogitsWarper(top_k=12),
        LogitsWarper(top_p=0.8),
        LogitsWarper(min_p=0.2),
    )
    expected = logits
    for one in alone:
        expected = one(expected)
    assert torch.equal(every(logits), expected)


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("sampling.top_k=0", {"top_k": 0}),
        ("sampling.p_nucleus=0", {"top_p": 0}),
        ("sampling.p_nucleus=1.5", {"top_p": 1.5}),
        ("sampling.nucleus='x': choose from drop-crossing", {"nucleus": "x"}),
    ],
)
def test_a_nucleus_that_makes_no_sense_is_refused_by_name(key, options):
    with pytest.raises(ValueError, match=key):
        LogitsWarper(**options)
