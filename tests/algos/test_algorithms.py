"""Promises of every algorithm, on a tiny network."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from algos.base import Batch, Draws, batch_of
from algos.build import ALGORITHMS
from diffusion.logits_warper import LogitsWarper
from samplers.autoregressive import autoregressive
from samplers.build import SAMPLERS, Counter
from samplers.score import analytic, euler
from tests.algos.configured import (
    DIFFUSION,
    NAMES,
    NOISED,
    PREDICTORS,
    a_batch,
    build,
    sampler_of,
)
from tests.diffusion import brute_force

N, L = 5, 6
ALPHAS = {
    "log-linear": brute_force.log_linear,
    "cosine": brute_force.cosine,
    "geometric": brute_force.geometric,
}


def begun(count: int, length: int) -> tuple[Tensor, Tensor]:
    """Texts of which the first token is given: 0."""
    fixed = torch.zeros(count, length, dtype=torch.bool)
    fixed[:, 0] = True
    return torch.zeros(count, length, dtype=torch.long), fixed


def part(batch: Batch, rows: slice) -> Batch:
    return {key: value[rows] for key, value in batch.items()}


@pytest.mark.parametrize("name", NAMES)
def test_reported_nats_do_not_depend_on_the_batch(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    with torch.no_grad():
        whole = algorithm.nll(batch)
        split = torch.cat([algorithm.nll(part(batch, slice(i, i + 1))) for i in range(8)])
    torch.testing.assert_close(whole, split, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_only_scored_positions_count(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    batch["scored"] = batch["scored"].clone()
    batch["scored"][:, 3] = False
    for values in (algorithm.nll(batch), algorithm.objective(batch)):
        assert values.shape == (8, L)
        assert (values[:, [0, 3]] == 0).all()
        assert (values != 0).any()


@pytest.mark.parametrize("name", DIFFUSION)
def test_passes_and_examples_have_their_own_times(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    algorithm.steps = None  # on a grid two of them may fall together
    first, second = (algorithm.evaluation_noise(batch, Draws(number)) for number in (0, 1))
    assert len(first.t.unique()) == 8 * algorithm.blocks_of(L)
    assert not torch.isin(second.t, first.t).any()
    assert (first.z[:, 0] == batch["tokens"][:, 0]).all()


@pytest.mark.parametrize("name", DIFFUSION)
def test_training_times_do_not_depend_on_the_micro_batch(name: str) -> None:
    algorithm, batch = build(name), a_batch(start=16)
    whole = algorithm.training_noise(batch).t
    halves = [algorithm.training_noise(part(batch, rows)).t for rows in (slice(0, 4), slice(4, 8))]
    assert torch.equal(whole, torch.cat(halves))
    low, high = algorithm.sampling_eps
    before = whole - (0.5 / algorithm.steps if algorithm.steps else 0.0)  # it was rounded up
    if before.dim() == 2:
        before = before[:, :: algorithm.block_size].flatten()
    cells = ((before - low) / (1 - low - high) * len(before)).floor()
    assert sorted(cells.tolist()) == list(range(len(before)))


def test_mdlm_and_gidd_without_uniform_noise_are_the_same_bound() -> None:
    mdlm, gidd, batch = build("mdlm"), build("gidd", p_uniform=0.0), a_batch()
    for algorithm in (mdlm, gidd):  # the level must not matter for the comparison
        for module in algorithm.modules():
            if getattr(module, "modulation", None) is not None:
                torch.nn.init.ones_(module.modulation.bias)
                torch.nn.init.zeros_(module.modulation.weight)
    gidd.load_state_dict(mdlm.state_dict())
    torch.testing.assert_close(mdlm.nll(batch), gidd.nll(batch), rtol=1e-5, atol=1e-5)
    assert (mdlm.nll(batch) > 0).any()


@pytest.mark.parametrize("name", DIFFUSION)
def test_a_uniform_prediction_has_a_bound_of_log_n(name: str) -> None:
    """For p = 1/N, which is a score of one, the bound integrates to log N exactly: the data are as
    good as the prior."""
    algorithm, batch = build(name), a_batch(size=200)
    if algorithm.facts.outputs_mask:
        pytest.skip("the mask is among the predictions, and what it is given is lost")
    torch.nn.init.zeros_(algorithm.backbone.head.weight)
    torch.nn.init.zeros_(algorithm.backbone.head.bias)
    nats = []
    for number in range(16):
        with torch.no_grad():
            nats.append(algorithm.nll(batch, Draws(number)).sum(1) / batch["scored"].sum(1))
    every = torch.cat(nats)
    error = float(every.std()) / math.sqrt(len(every))
    assert abs(float(every.mean()) - math.log(N)) < 4 * error
    assert error < 0.08


@pytest.mark.parametrize(("name", "noise"), [pair for pair in NOISED if pair[1]])
def test_training_has_the_named_noise_and_the_network_sees_its_sigma(name: str, noise: str) -> None:
    algorithm, t = build(name, schedule=noise), torch.linspace(0.01, 1, 12, dtype=torch.float64)
    alpha = ALPHAS[noise]
    expected = torch.tensor([alpha(time) for time in t.tolist()], dtype=torch.float64)
    keep = algorithm.training_process.schedule(t).keep[:, 0]
    if algorithm.steps is not None:  # a chain of its own, which ends in nothing but noise
        expected_keep = (expected - expected[-1]) / (1 - expected[-1])
        torch.testing.assert_close(keep, expected_keep, rtol=1e-9, atol=1e-12)
    else:
        torch.testing.assert_close(keep, expected, rtol=1e-9, atol=1e-12)
    if algorithm.level is not None:
        torch.testing.assert_close(algorithm.level(t), -expected.log(), rtol=1e-9, atol=1e-12)


def test_low_var_is_the_bound_without_its_weight() -> None:
    batch = a_batch()
    torch.manual_seed(3)
    plain = build("mdlm", loss_type="low_var")
    torch.manual_seed(3)
    low = plain.objective(batch).detach()
    bound = build("mdlm")
    torch.manual_seed(3)
    weighted = bound.objective(batch).detach()
    t = bound.training_noise(batch).t.unsqueeze(-1)
    torch.testing.assert_close(weighted, low.double() / t, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "predictor"), PREDICTORS)
def test_samples_keep_what_is_given_and_hold_only_tokens(name: str, predictor: str) -> None:
    algorithm = build(name).eval()
    given = torch.randint(N, (4, L))
    # Gaps in the middle and in front, but for AR, which goes on behind prefixes of any length.
    fixed = torch.rand(4, L) < 0.4 if name != "ar" else torch.ones(4, L).tril(1).bool()
    counter = Counter()
    tokens = algorithm.sample(given, fixed, sampler_of(predictor, 7, algorithm, counter))
    assert tokens.shape == (4, L)
    assert (tokens[fixed] == given[fixed]).all()
    assert tokens.min() >= 0
    assert tokens.max() < N
    blocks = algorithm.blocks_of(L) if name in DIFFUSION else 1
    assert counter.texts <= (7 * blocks + blocks - 1) * 4
    if name == "ar":
        assert counter.texts == (L - 2) * 4


def test_ar_samples_its_own_distribution() -> None:
    """Frequencies against exp(-nll) of all texts, so that the cache cannot be wrong unnoticed."""
    algorithm = build("ar", vocab_size=3, length=4).eval()
    texts = torch.tensor([[0, *rest] for rest in itertools.product(range(3), repeat=3)])
    with torch.no_grad():
        nats = algorithm.nll(batch_of(texts, given=0))
    expected = (-nats.sum(1).double()).exp()
    assert float(expected.sum()) == pytest.approx(1, abs=1e-5)
    torch.manual_seed(5)
    draws = 20_000
    tokens = algorithm.sample(*begun(draws, 4), autoregressive)
    code: Tensor = tokens[:, 1] * 9 + tokens[:, 2] * 3 + tokens[:, 3]
    counts = torch.bincount(code, minlength=27).double()
    chi2 = float(((counts - draws * expected) ** 2 / (draws * expected)).sum())
    assert chi2 < 26 + 5 * math.sqrt(2 * 26)


@pytest.mark.parametrize(("name", "predictor"), PREDICTORS)
def test_temperature_reaches_the_draws(name: str, predictor: str) -> None:
    """Near zero a single step draws the likeliest token: the same in every text of the batch, whose
    noise and times a network sees that predicts the same of all."""
    algorithm = build(name).eval()
    one = torch.randn(1, L, algorithm.backbone.head.in_features)
    algorithm.hidden = lambda z, t: one[:, : z.shape[1]].expand(len(z), -1, -1)
    if SAMPLERS[predictor] in (analytic, euler) and algorithm.process.has_noise:
        pytest.skip("scores under uniform noise give chances of steps, not a prediction to bend")
    sampler = sampler_of(predictor, 1, algorithm, cached=False)
    hot = algorithm.sample(*begun(64, L), sampler)
    cold = algorithm.sample(*begun(64, L), sampler, LogitsWarper(temperature=1e-4))
    assert len(hot.unique(dim=0)) > 10
    assert len(cold.unique(dim=0)) == 1


def test_an_absorbing_sampler_calls_the_network_at_most_once_a_token() -> None:
    algorithm, counter = build("mdlm").eval(), Counter()
    algorithm.sample(*begun(3, L), sampler_of("ancestral", 1000, algorithm, counter))
    assert counter.texts <= (L - 1) * 3
    assert counter.texts > (L - 2) * 3  # two are rarely drawn at once


def test_refused_settings_name_the_key() -> None:
    with pytest.raises(ValueError, match=r"algo.p_uniform=1.0"):
        build("gidd", p_uniform=1.0)
    with pytest.raises(ValueError, match=r"algo.weighting='x': choose from clip"):
        build("gidd", weighting="x")
    with pytest.raises(ValueError, match=r"algo.max_weight=0"):
        build("gidd", max_weight=0)
    with pytest.raises(ValueError, match=r"algo.loss_type='x': choose from"):
        build("mdlm", loss_type="x")
    with pytest.raises(ValueError, match=r"algo.T=1: must be at least 2"):
        build("d3pm", T=1)


def test_algorithms_are_final() -> None:
    assert all(known.__subclasses__() == [] for known in ALGORITHMS.values())
