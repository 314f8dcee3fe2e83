"""Psi-samplers against their formula by enumeration, and ReMDM's published steps as their case."""

from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch

from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.grids import plateau_grid, uniform_grid
from samplers.kappa import PRESETS, RULES, Profile, profile, psi
from tests.diffusion import brute_force
from tests.diffusion.cases import SCHEDULES, times
from tests.samplers.exact_network import ExactNetwork, codes
from tests.samplers.psi_steps import ABSORBING, NAMES, SIGMAS, SIZE, at, mixed
from tests.samplers.table_network import TableNetwork, counts_of, follows

LENGTH = 2
TEXTS = {NAMES[0]: (3, 1), NAMES[1]: (2, 1), NAMES[2]: (3, 0)}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(70)


def kernel(laws, name, t, s, kappa):
    later, earlier = brute_force.LEVELS[name](t), brute_force.LEVELS[name](s)
    return brute_force.product_kernel(
        lambda row, position, z: mixed(laws[row, position], z, later, earlier, kappa), SIZE, LENGTH
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 0.35, 0.8])
@pytest.mark.parametrize(("t", "s"), [(0.7, 0.3), (0.4, 0.4)])
def test_a_step_is_the_published_mixture_by_enumeration(name, value, t, s):
    """On a plateau too, where the posterior step does nothing."""
    network = TableNetwork(SIZE, LENGTH, SIZE, seed=71)
    process = Process(SCHEDULES[name], SIZE)
    expected = kernel(network.law(), name, t, s, value)
    made = profile("constant-eta", value)
    assert follows(partial(psi, profile=made), network, process, TEXTS[name], times(t, s), expected)


@pytest.mark.parametrize("rule", ["max-capped-eta", "max-rescale-eta"])
def test_draws_of_a_remdm_step_follow_its_published_chances(rule):
    network, (t, s), eta = TableNetwork(SIZE, LENGTH, SIZE, seed=72), (0.6, 0.5), 0.3
    now, then = (brute_force.LEVELS[NAMES[0]](time)[0] for time in (t, s))
    sigma, law = SIGMAS[rule](eta, now, then), network.law()

    def published(row, position, z):
        if z < SIZE:
            return (1 - sigma) * np.eye(SIZE + 1)[z] + sigma * np.eye(SIZE + 1)[SIZE]
        unmasked = law[row, position] * (then - (1 - sigma) * now) / (1 - now)
        return np.append(unmasked, (1 - then - sigma * now) / (1 - now))

    expected = brute_force.product_kernel(published, SIZE, LENGTH)
    sampler = partial(psi, profile=profile(rule, eta))
    assert follows(sampler, network, ABSORBING, (3, 1), times(t, s), expected)


LANGUAGE = brute_force.random_language(SIZE, LENGTH, seed=73)
PROFILES = [
    *(made for name, made in PRESETS.items() if name != "remdm-conf"),  # which has a memory
    *(Profile(rule, 0.3) for rule in RULES),
]


@lru_cache
def both_ways(name, t, s):
    """(S^L, L, S) the posteriors and the steps all the way back, of a perfect network."""
    later, earlier = brute_force.LEVELS[name](t), brute_force.LEVELS[name](s)
    laws, texts = brute_force.leave_one_out(LANGUAGE, later), brute_force.states(SIZE, LENGTH)
    return [
        np.array(
            [
                [mixed(law, z, later, earlier, kappa) for law, z in zip(row, text, strict=True)]
                for row, text in zip(laws, texts, strict=True)
            ]
        )
        for kappa in (1.0, 0.0)
    ]


def what_is_lost(made, name, steps):
    """Total variation between the language and the law of a perfect network's texts."""
    process, grid = Process(SCHEDULES[name], SIZE), uniform_grid(steps)
    if made.plateau is not None:
        grid = plateau_grid(steps, process=process, plateau=made.plateau)
    one = brute_force.leftover(brute_force.LEVELS[name](1.0), SIZE)
    law = np.kron(one, one) / one.sum() ** 2
    for t, s in pairwise(grid.tolist()):
        posterior, again = both_ways(name, t, s)
        kappa = 1.0 if s == 0 else at(made, t, s, process)
        step = kappa * posterior + (1 - kappa) * again
        law = law @ np.einsum("ra,rb->rab", step[:, 0], step[:, 1]).reshape(len(law), -1)
    law = law.reshape(SIZE + 1, SIZE + 1)[:SIZE, :SIZE]
    return abs(law / law.sum() - LANGUAGE).sum() / 2


@pytest.mark.parametrize("made", PROFILES, ids=lambda made: f"{made.kappa}-{made.eta}")
@pytest.mark.parametrize("name", NAMES)
def test_the_law_of_the_texts_comes_near_the_language_as_steps_grow(made, name):
    few, many = what_is_lost(made, name, 4), what_is_lost(made, name, 64)
    assert many < 0.6 * few and few > 0.05


def test_confidence_leads_to_the_language_too():
    """The distance of 20,000 texts of the language itself is about 0.007."""
    found = []
    for steps in (2, 64):
        z = ABSORBING.prior((20_000, LENGTH))
        network = ExactNetwork(LANGUAGE, ABSORBING)
        tokens = psi(network, ABSORBING, z, uniform_grid(steps), profile("remdm-conf"))
        counts = np.bincount(codes(tokens, SIZE), minlength=LANGUAGE.size)
        found.append(abs(counts / counts.sum() - LANGUAGE.flatten()).sum() / 2)
    assert found[1] < 0.04 and found[1] < 0.4 * found[0]  # slowly: what is sure is seldom revised


def test_every_run_forgets_the_confidences_of_the_one_before():
    language = brute_force.random_language(SIZE, LENGTH, seed=75)
    texts = []
    for _ in range(2):
        torch.manual_seed(76)
        z = ABSORBING.prior((300, LENGTH))
        made = profile("remdm-conf")
        texts.append(psi(ExactNetwork(language, ABSORBING), ABSORBING, z, uniform_grid(5), made))
    assert torch.equal(*texts)
    assert (psi(ExactNetwork(language, ABSORBING), ABSORBING, z, uniform_grid(1), made) < 3).all()


def test_one_step_from_masks_is_the_ancestral_one():
    """pure-posterior is ancestral sampling, coin by coin."""
    network, grid = TableNetwork(SIZE, LENGTH, SIZE, seed=77), uniform_grid(3)
    z = ABSORBING.prior((40_000, LENGTH))
    law = np.eye((SIZE + 1) ** LENGTH)[-1]
    for t, s in pairwise(grid.tolist()):
        law = law @ kernel(network.law(), NAMES[0], t, s, 1.0)
    for tokens in (
        psi(network, ABSORBING, z, grid, profile("pure-posterior")),
        ancestral(network, ABSORBING, z, grid),
    ):
        assert brute_force.agrees(counts_of(tokens, SIZE + 1), law)


def test_clamped_tokens_stay_through_every_step_back():
    language = brute_force.random_language(SIZE, LENGTH, seed=78)
    network, seen = ExactNetwork(language, ABSORBING), []

    def clamp(z):
        return torch.cat([torch.full_like(z[:, :1], 2), z[:, 1:]], 1)

    def denoise(z, t, rows):
        seen.append(z)
        return network(z, t, rows)

    z = ABSORBING.prior((400, LENGTH))
    tokens = psi(denoise, ABSORBING, z, uniform_grid(8), profile("pure-pc"), clamp)
    assert all((text[:, 0] == 2).all() for text in [*seen, tokens])
