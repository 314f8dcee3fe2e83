"""Profiles of kappa: their published formulas, presets, parts of time, refusals."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from diffusion.process import Process
from samplers.grids import plateau_grid, uniform_grid
from samplers.kappa import RULES, Confidence, Parts, Profile, profile
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times
from tests.samplers.psi_steps import ABSORBING, NAMES, SIGMAS, SIZE, at, mixed
from tests.samplers.table_network import TableNetwork


@pytest.mark.parametrize("rule", SIGMAS)
@pytest.mark.parametrize("eta", [0.02, 0.4])
@pytest.mark.parametrize(("t", "s"), [(0.9, 0.7), (0.5, 0.45), (0.2, 0.05)])
def test_the_chances_are_those_that_remdm_publishes(rule, eta, t, s):
    """Masked again with sigma, unmasked with (alpha_s - (1 - sigma) alpha_t) / (1 - alpha_t)."""
    later, earlier = brute_force.LEVELS[NAMES[0]](t), brute_force.LEVELS[NAMES[0]](s)
    now, then, p = later[0], earlier[0], np.array([0.5, 0.3, 0.2])
    sigma, kappa = SIGMAS[rule](eta, now, then), at(profile(rule, eta), t, s)
    sigma = min(sigma, 1 - then)  # as far as kappa reaches
    assert 0 <= kappa < 1
    token = mixed(p, 1, later, earlier, kappa)
    np.testing.assert_allclose(token, [0, 1 - sigma, 0, sigma], atol=1e-12)
    masked = mixed(p, SIZE, later, earlier, kappa)
    np.testing.assert_allclose(masked[:SIZE], p * (then - (1 - sigma) * now) / (1 - now))
    assert masked[SIZE] == pytest.approx((1 - then - sigma * now) / (1 - now))


def test_the_two_rescales_differ_as_measured():
    """With eta = 0.05 the published code has a sigma of 0.0025 where ReMDM has 0.05."""
    then = 1 - (1 - 1e-3) * 0.69
    for rule, sigma in (("max-rescale-eta", 0.05), ("max-rescale-eta-published", 0.0025)):
        kappa = at(profile(rule, 0.05), 0.7, 0.69)
        assert 1 - kappa == pytest.approx(sigma / (1 - then))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", [*NAMES, "absorbing cosine closed", "uniform geometric"])
def test_every_profile_is_a_chance_at_all_times(rule, name):
    process, grid = Process(SCHEDULES[name], SIZE), uniform_grid(50)
    made = Parts(Profile(rule, 1.0), process)
    z = torch.zeros(50, 1).long()
    kappa = torch.cat([made(process, z, t, s) for t, s in pairwise(grid.tolist())])
    assert kappa.shape == (50, 1) and bool(((kappa >= 0) & (kappa <= 1)).all())


def test_the_ends_of_time_are_no_exception():
    process = Process(SCHEDULES["absorbing cosine closed"], SIZE)  # alpha is 0 at 1 and 1 at 0
    for rule in SIGMAS:
        assert at(profile(rule, 0.1), 0.1, 0.0, process) == 1
        assert 0 <= at(profile(rule, 0.1), 1.0, 0.9, process) < 1


def test_parts_of_time_have_their_own_rules():
    made = profile(
        "constant-eta", 0.3, high="pure-pc", low="pure-posterior", high_frac=0.2, middle_frac=0.5
    )
    grid = uniform_grid(10).tolist()
    values = [at(made, t, s) for t, s in pairwise(grid)]
    assert values == [0.0] * 2 + [pytest.approx(0.3)] * 5 + [1.0] * 3


def test_a_plateau_parts_the_steps_of_its_grid():
    made = profile("remdm-loop")
    kept = 0.9
    grid = plateau_grid(20, process=ABSORBING, plateau=kept, high_frac=0.45, middle_frac=0.5)
    values = [at(made, t, s) for t, s in pairwise(grid.tolist())]
    inside = 1 - 0.02 / (1 - kept)
    assert values == [1.0] * 9 + [pytest.approx(inside, abs=1e-9)] * 10 + [1.0]


def test_the_presets_are_what_the_released_scripts_set():
    assert at(profile("remdm-cap"), 0.7, 0.6) == at(profile("max-capped-eta", 0.008), 0.7, 0.6)
    assert profile("psi-rescale").eta == 0.05 and profile("psi-rescale", eta=0.1).eta == 0.1
    assert at(profile("psi-rescale"), 0.7, 0.6) == at(profile("max-rescale-eta", 0.05), 0.7, 0.6)


def test_confidence_masks_the_doubtful_again_and_only_what_was_drawn():
    """sigma_max softmax(-p) over the drawn tokens that still stand."""
    network = TableNetwork(SIZE, 3, SIZE, seed=74)
    z = torch.tensor([[SIZE, 1, SIZE], [SIZE, SIZE, SIZE]])
    kappa, rows = Confidence(z), torch.tensor([1])
    drawn = torch.tensor([[True, False, True]])
    prediction = network(z[rows], times(0.6), rows)
    kappa.watch(rows, drawn, torch.tensor([[2, 7, 0]]), prediction)
    z = torch.tensor([[SIZE, 1, SIZE], [2, SIZE, 0]])
    found = kappa(ABSORBING, z, 0.6, 0.5)
    law = network.law()[-1]
    doubt = np.exp(-np.array([law[0, 2], law[2, 0]]))
    now, then = (brute_force.LEVELS[NAMES[0]](time)[0] for time in (0.6, 0.5))
    sigma = min(1, (1 - then) / now) * doubt / doubt.sum()
    expected = np.ones((2, 3))
    expected[1, [0, 2]] = np.clip(1 - sigma / (1 - then), 0, 1)
    np.testing.assert_allclose(found, expected)
    z[1, 0] = SIZE  # masked again: all doubt is on the other
    again = kappa(ABSORBING, z, 0.6, 0.5)
    assert float(again[1, 0]) == 1 and float(again[1, 2]) == 0


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"kappa": "remdm"}, r"sampling\.kappa='remdm': choose from constant-eta, "),
        ({"kappa": "pure-pc", "high": "cap"}, r"sampling\.kappa_high='cap': choose from "),
        ({"kappa": "pure-pc", "low": "cap"}, r"sampling\.kappa_low='cap': choose from "),
        ({"kappa": "constant-eta"}, r"sampling\.eta=None: sampling.kappa=constant-eta needs it"),
        ({"kappa": "psi-cap", "eta": 1.5}, r"sampling\.eta=1\.5: .* from 0 to 1"),
        ({"kappa": "pure-pc", "eta": 0.1}, r"sampling\.eta=0\.1: sampling.kappa=pure-pc has none"),
        ({"kappa": "psi-cap", "high_frac": 0.6, "middle_frac": 0.6}, r"sampling\.high_frac=0\.6"),
        ({"kappa": "psi-cap", "high_frac": -0.1}, r"sampling\.high_frac=-0\.1"),
        ({"kappa": "remdm-conf", "low": "pure-pc"}, r"sampling\.kappa_low=pure-pc: .*all of time"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_in_one_line(given, line):
    with pytest.raises(ValueError, match=line) as refused:
        profile(**given)
    assert "\n" not in str(refused.value)
