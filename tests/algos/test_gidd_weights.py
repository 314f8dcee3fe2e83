"""GIDD's weightings of its loss."""

import math

import pytest
import torch

from algos.gidd import WEIGHTINGS, Row
from diffusion.bound import interpolating_weight
from tests.algos.configured import build


def row(t: float, masked: bool, clean: bool, p_uniform: float = 0.1, cap: float = 1e9) -> Row:
    algorithm = build("gidd", vocab_size=100, p_uniform=p_uniform)
    mix, rate = algorithm.process.mix(torch.tensor([t]))
    z = torch.tensor([100 if masked else 7])
    x = torch.tensor([7 if clean else 3])
    mix, rate = (type(mix)(*(part[:, 0] for part in one)) for one in (mix, rate))
    bound = interpolating_weight(x, z, mix, rate, 100)
    flags = torch.tensor([masked]), torch.tensor([clean])
    return Row(bound, *flags, torch.tensor([t], dtype=torch.float64), algorithm.odds, 100, cap)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_dynamic_weights_have_the_ratios_of_the_bound(t: float) -> None:
    rows = [row(t, True, False), row(t, False, False), row(t, False, True)]
    bound = torch.cat([one.bound for one in rows])
    dynamic = torch.cat([WEIGHTINGS["dynamic"](one) for one in rows])
    # The clean ratio leaves out c / N beside 1 - t, about 0.2 / 100 of it at most.
    torch.testing.assert_close(bound / bound[1], dynamic, rtol=0.01, atol=0)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_dynamic_published_is_the_formula_of_the_authors_code(t: float) -> None:
    """B / (N + 1) exp(sigmoid(-t) / 2) for clean tokens, N + 1 being the vocabulary with its
    mask."""
    published = WEIGHTINGS["dynamic_published"]
    clean = 2 * 0.1 / 0.9 / 101 * math.exp(0.5 / (1 + math.exp(t)))
    assert float(published(row(t, False, True))) == pytest.approx(clean, rel=1e-6)
    assert float(published(row(t, True, False))) == 2.0
    assert float(published(row(t, False, False))) == 1.0


def test_dynamic_published_is_off_as_documented() -> None:
    """Too large by 3.8 at t = 0.1 and too small by 2.6 at t = 0.9 for clean tokens."""
    for t, factor in ((0.1, 3.8), (0.9, 1 / 2.6)):
        clean = row(t, False, True)
        ratio = WEIGHTINGS["dynamic_published"](clean) / WEIGHTINGS["dynamic"](clean)
        assert float(ratio) == pytest.approx(factor, rel=0.02)


def test_weights_are_capped() -> None:
    assert float(WEIGHTINGS["clip"](row(0.01, True, False, cap=1.0))) == 1.0
    assert float(WEIGHTINGS["none"](row(0.01, True, False, cap=1.0))) == pytest.approx(1 / 0.0099)
    assert float(WEIGHTINGS["dynamic"](row(0.5, True, False, cap=1.0))) == 1.0
