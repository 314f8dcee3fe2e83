"""What every algorithm promises, on a tiny network."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from algos import ALGORITHMS
from algos.base import Algorithm, Batch
from algos.gidd import GIDD, WEIGHTINGS, Row
from algos.mdlm import MDLM
from backbones import DiT
from diffusion.bound import interpolating_weight
from diffusion.schedule import log_linear
from samplers import ancestral, autoregressive
from samplers.ancestral import uniform_grid

N, L = 5, 6


def build(name: str, vocab_size: int = N, length: int = L, **own: object) -> Algorithm:
    """A network of random weights, so that no two positions predict the same."""
    torch.manual_seed(0)
    net = DiT(vocab_size, 16, length, n_blocks=1, n_heads=2, cond_dim=8, causal=name == "ar")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.3)
    if name != "ar":
        own["global_batch_size"] = 8
    if name == "mdlm":
        own["alpha"] = log_linear
    return ALGORITHMS[name](backbone=net, vocab_size=vocab_size, **own)


def a_batch(size: int = 8, start: int = 0) -> Batch:
    tokens = torch.randint(N, (size, L), generator=torch.Generator().manual_seed(1))
    inner = torch.ones(size, L, dtype=torch.bool)
    inner[:, 0] = False
    return {
        "tokens": tokens,
        "scored": inner,
        "noised": inner,
        "index": torch.arange(start, start + size),
    }


def part(batch: Batch, rows: slice) -> Batch:
    return {key: value[rows] for key, value in batch.items()}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_reported_nats_do_not_depend_on_the_batch(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    with torch.no_grad():
        whole = algorithm.nll(batch)
        split = torch.cat([algorithm.nll(part(batch, slice(i, i + 1))) for i in range(8)])
    torch.testing.assert_close(whole, split, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_only_scored_positions_count(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    batch["scored"] = batch["scored"].clone()
    batch["scored"][:, 3] = False
    for values in (algorithm.nll(batch), algorithm.objective(batch)):
        assert values.shape == (8, L)
        assert (values[:, [0, 3]] == 0).all()
        assert (values != 0).any()


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"ar"}))
def test_passes_and_examples_have_their_own_times(name: str) -> None:
    algorithm, batch = build(name), a_batch()
    first = algorithm.evaluation_noise(batch)
    algorithm.evaluation_pass = 1
    second = algorithm.evaluation_noise(batch)
    assert len(first.t.unique()) == 8
    assert not torch.isin(second.t, first.t).any()
    assert (first.z[:, 0] == batch["tokens"][:, 0]).all()


@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"ar"}))
def test_training_times_do_not_depend_on_the_micro_batch(name: str) -> None:
    algorithm, batch = build(name), a_batch(start=16)
    whole = algorithm.training_noise(batch).t
    halves = [algorithm.training_noise(part(batch, rows)).t for rows in (slice(0, 4), slice(4, 8))]
    assert torch.equal(whole, torch.cat(halves))
    low, high = algorithm.sampling_eps
    cells = ((whole - low) / (1 - low - high) * 8).floor()
    assert sorted(cells.tolist()) == list(range(8))


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


@pytest.mark.parametrize("name", ["mdlm", "gidd"])
def test_a_uniform_prediction_has_a_bound_of_log_n(name: str) -> None:
    """For p = 1/N the bound integrates to log N exactly: the data are as good as the prior."""
    algorithm, batch = build(name), a_batch()
    torch.nn.init.zeros_(algorithm.backbone.head.weight)
    torch.nn.init.zeros_(algorithm.backbone.head.bias)
    means = []
    for number in range(400):
        algorithm.evaluation_pass = number
        with torch.no_grad():
            means.append(float(algorithm.nll(batch).sum() / batch["scored"].sum()))
    means = torch.tensor(means)
    error = float(means.std()) / math.sqrt(len(means))
    assert abs(float(means.mean()) - math.log(N)) < 4 * error
    assert error < 0.08


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


def row(t: float, masked: bool, clean: bool, p_uniform: float = 0.1, cap: float = 1e9) -> Row:
    algorithm = build("gidd", vocab_size=100, p_uniform=p_uniform)
    mix, rate = algorithm.process.mix(torch.tensor([t]))
    z = torch.tensor([100 if masked else 7])
    x = torch.tensor([7 if clean else 3])
    mix, rate = (type(mix)(*(part[:, 0] for part in one)) for one in (mix, rate))
    bound = interpolating_weight(x, z, mix, rate, 100)
    flags = torch.tensor([masked]), torch.tensor([clean])
    return Row(bound, *flags, torch.tensor([t], dtype=torch.float64), algorithm.ratio, cap)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_dynamic_weights_have_the_ratios_of_the_bound(t: float) -> None:
    rows = [row(t, True, False), row(t, False, False), row(t, False, True)]
    bound = torch.cat([one.bound for one in rows])
    dynamic = torch.cat([WEIGHTINGS["dynamic"](one) for one in rows])
    # The clean ratio leaves out c / N beside 1 - t, about 0.2 / 100 of it at most.
    torch.testing.assert_close(bound / bound[1], dynamic, rtol=0.01, atol=0)


def test_published_dynamic_weight_is_off_as_documented() -> None:
    """Too large by 3.8 at t = 0.1 and too small by 2.6 at t = 0.9 for clean tokens, equal
    otherwise."""
    for t, factor in ((0.1, 3.8), (0.9, 1 / 2.6)):
        clean = row(t, False, True)
        ratio = WEIGHTINGS["dynamic_published"](clean) / WEIGHTINGS["dynamic"](clean)
        assert float(ratio) == pytest.approx(factor, rel=0.02)
    assert float(WEIGHTINGS["dynamic_published"](row(0.3, True, False))) == 2.0


def test_weights_are_capped() -> None:
    assert float(WEIGHTINGS["clip"](row(0.01, True, False, cap=1.0))) == 1.0
    assert float(WEIGHTINGS["none"](row(0.01, True, False, cap=1.0))) == pytest.approx(1 / 0.0099)
    assert float(WEIGHTINGS["dynamic"](row(0.5, True, False, cap=1.0))) == 1.0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_samples_keep_the_prompt_and_hold_only_tokens(name: str) -> None:
    algorithm = build(name).eval()
    prompt = torch.tensor([[3, 1]]).expand(4, -1)
    sampler = autoregressive if name == "ar" else partial(ancestral, grid=uniform_grid(7))
    tokens = algorithm.sample((4, L), sampler, prompt)
    assert tokens.shape == (4, L)
    assert (tokens[:, :2] == prompt).all()
    assert tokens.min() >= 0
    assert tokens.max() < N
    assert algorithm.network_evaluations == (4 if name == "ar" else algorithm.network_evaluations)
    assert algorithm.network_evaluations <= 7


def test_ar_samples_its_own_distribution() -> None:
    """Frequencies against exp(-nll) of all texts, so that the cache cannot be wrong unnoticed."""
    algorithm = build("ar", vocab_size=3, length=4).eval()
    texts = torch.tensor([[0, *rest] for rest in itertools.product(range(3), repeat=3)])
    ones = torch.ones(27, 4, dtype=torch.bool)
    with torch.no_grad():
        nats = algorithm.nll(
            {"tokens": texts, "scored": ones, "noised": ones, "index": texts[:, 0]}
        )
    expected = (-nats.sum(1).double()).exp()
    assert float(expected.sum()) == pytest.approx(1, abs=1e-5)
    torch.manual_seed(5)
    draws = 20_000
    tokens = algorithm.sample((draws, 4), autoregressive, torch.zeros(draws, 1, dtype=torch.long))
    code: Tensor = tokens[:, 1] * 9 + tokens[:, 2] * 3 + tokens[:, 3]
    counts = torch.bincount(code, minlength=27).double()
    chi2 = float(((counts - draws * expected) ** 2 / (draws * expected)).sum())
    assert chi2 < 26 + 5 * math.sqrt(2 * 26)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_temperature_reaches_the_draws(name: str) -> None:
    """Near zero a single step draws the likeliest token: the same in every text of the batch."""
    algorithm = build(name).eval()
    sampler = autoregressive if name == "ar" else partial(ancestral, grid=uniform_grid(1))
    start = torch.zeros(64, 1, dtype=torch.long)
    hot = algorithm.sample((64, L), sampler, start)
    algorithm.temperature = 1e-4
    cold = algorithm.sample((64, L), sampler, start)
    assert len(hot.unique(dim=0)) > 10
    assert len(cold.unique(dim=0)) == 1


def test_an_absorbing_sampler_calls_the_network_at_most_once_a_token() -> None:
    algorithm = build("mdlm").eval()
    sampler = partial(ancestral, grid=uniform_grid(1000))
    algorithm.sample((1, L), sampler, torch.zeros(1, 1, dtype=torch.long))
    assert algorithm.network_evaluations == L - 1


def test_refused_settings_name_the_key() -> None:
    with pytest.raises(ValueError, match=r"algo.p_uniform=1.0"):
        build("gidd", p_uniform=1.0)
    with pytest.raises(ValueError, match=r"algo.weighting='x': choose from \['clip'"):
        build("gidd", weighting="x")
    with pytest.raises(ValueError, match=r"algo.max_weight=0"):
        build("gidd", max_weight=0)
    with pytest.raises(ValueError, match=r"algo.loss_type='x': choose from"):
        build("mdlm", loss_type="x")


def test_algorithms_are_final() -> None:
    assert GIDD.__subclasses__() == MDLM.__subclasses__() == []
