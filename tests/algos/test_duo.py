"""DUO's curriculum: its noise, what the network is given, its gradients, and where it ends."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import algos.duo as room
from algos.duo import DUO
from diffusion.bound import interpolating_bound
from diffusion.chunked import chunked
from diffusion.head import ALIGNED
from diffusion.rows import LEAST_ROWS
from diffusion.schedule import Mix
from tests.algos.configured import a_batch, build
from tests.diffusion.tensor_sizes import LargestTensor
from tests.integral import reference

N = 5
FORMS = ("efficient", "full")
forms = pytest.mark.parametrize("form", FORMS)


class Call(NamedTuple):
    """The inputs of the chunked head under the curriculum."""

    hidden: Tensor
    x: Tensor
    z: Tensor
    mix: Mix
    rate: Mix


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    seen: list[Call] = []

    def record(fn: Any, head: nn.Linear, hidden: Tensor, *columns: Any, rows: Tensor) -> Tensor:
        seen.append(Call(hidden, *columns))
        return chunked(fn, head, hidden, *columns, rows=rows)

    monkeypatch.setattr(room, "chunked", record)
    return seen


def at(algorithm: DUO, t: float) -> DUO:
    """The same with every text of a batch at time t."""
    algorithm.training_times = lambda batch: t * torch.ones(len(batch["index"])).double()
    return algorithm


def entered(algorithm: DUO) -> list[tuple[Tensor, Tensor]]:
    """The embeddings (B, L, D) and levels (B,) of the evaluations from here on."""
    seen: list[tuple[Tensor, Tensor]] = []
    inputs: list[Tensor] = []
    algorithm.backbone.level.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    algorithm.backbone.blocks[0].register_forward_pre_hook(
        lambda _, args: seen.append((args[0].detach(), inputs[-1]))
    )
    return seen


@forms
@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_noise_level_and_loss_are_those_of_gamma(form: str, t: float, calls: list[Call]) -> None:
    """Frequencies of z, and the operator and its derivative by another quadrature."""
    algorithm = build("duo", N, curriculum=form, gamma_min=-2.0, gamma_max=1.5)
    batch, inputs = a_batch(N, 6, 8000), entered(at(algorithm, t))
    with torch.no_grad():
        values = algorithm.objective(batch)
    (call,), gamma = calls, -2.0 + 3.5 * t
    keep, slope = reference.keep(gamma, N), reference.slope(gamma, N)
    expected = {"keep": (keep, 3.5 * slope), "mask": (0, 0), "noise": (1 - keep, -3.5 * slope)}
    for name, (value, rate) in expected.items():
        assert getattr(call.mix, name)[:, 0].numpy() == pytest.approx(value, rel=1e-10)
        assert getattr(call.rate, name)[:, 0].numpy() == pytest.approx(rate, rel=1e-9)
    torch.testing.assert_close(inputs[0][1], -call.mix.keep.squeeze(-1).log())

    x, noised = batch["tokens"], batch["noised"]
    assert (call.z[~noised] == x[~noised]).all() and (values[~noised] == 0).all()
    moved = torch.bincount(((call.z - x) % N)[noised], minlength=N).double()
    chance = torch.full((N,), (1 - keep) / N).double()
    chance[0] += keep
    error = (moved.sum() * chance * (1 - chance)).sqrt()
    assert ((moved - moved.sum() * chance).abs() < 4 * error).all()


@forms
def test_given_tokens_enter_as_themselves(form: str) -> None:
    algorithm, batch = build("duo", N, curriculum=form, tau=1.0), a_batch()
    inputs = entered(algorithm)
    algorithm.objective(batch)
    plain, (soft, _) = algorithm.backbone.embedding(batch["tokens"]), inputs[0]
    distance = (soft - plain).abs().amax(-1)
    assert (distance[~batch["noised"]] < 1e-6).all()
    assert (distance[batch["noised"]] > 1e-3).all()


@forms
def test_a_low_temperature_is_the_plain_bound(form: str, calls: list[Call]) -> None:
    """Values and the gradient of the embedding, on the same z."""
    algorithm, batch = build("duo", N, curriculum=form, tau=1e-8), a_batch()
    values = algorithm.objective(batch)
    values.sum().backward()
    gradient = algorithm.backbone.embedding.weight.grad.clone()
    algorithm.zero_grad()
    ((_, x, z, mix, rate),) = calls
    assert (z != x).any()
    hidden = algorithm.backbone(z, -mix.keep.squeeze(-1).log())
    head, rows = algorithm.backbone.head, batch["scored"]
    expected = chunked(interpolating_bound, head, hidden, x, z, mix, rate, rows=rows)
    expected.sum().backward()
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    plain = algorithm.backbone.embedding.weight.grad
    torch.testing.assert_close(gradient, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_after_the_curriculum_it_is_udlm(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = build("duo", N, max_steps=10, curriculum_share=share)
    udlm, batch = build("udlm", N), a_batch()
    udlm.load_state_dict(algorithm.state_dict())

    def loss(of: Any) -> Tensor:
        torch.manual_seed(8)
        return of.objective(batch)

    for step in range(12):
        monkeypatch.setattr(DUO, "global_step", property(lambda _, step=step: step))
        assert torch.equal(loss(algorithm), loss(udlm)) == (step >= 10 * share)


@forms
def test_gradients_are_those_of_the_dense_computation(form: str, calls: list[Call]) -> None:
    """Soft inputs as (B, L, N) weights times the embedding, all logits at once, in float64."""
    algorithm, batch = build("duo", N, curriculum=form, tau=0.5).double(), a_batch()
    backbone = algorithm.backbone
    values = algorithm.objective(batch)
    values.sum().backward()
    got = {name: one.grad.clone() for name, one in algorithm.named_parameters()}
    algorithm.zero_grad()

    # The same draw once more, with a row of the identity for a token.
    gamma = algorithm.gaussian.gamma(algorithm.training_times(batch))
    table, eye = backbone.embedding.weight, torch.eye(N + 1).double()
    backbone.embedding.weight = nn.Parameter(eye)
    z, soft, *weights = algorithm.curriculum(algorithm, batch, gamma)
    soft = torch.einsum("blk,blkn->bln", weights[0].double(), eye[soft]) if weights else soft
    backbone.embedding.weight = table
    ((_, x, used, mix, rate),) = calls
    assert torch.equal(z, used)

    hidden = backbone(soft.detach() @ table, -mix.keep.squeeze(-1).log())
    wide = [Mix(*(part.expand_as(x).flatten() for part in one)) for one in (mix, rate)]
    logits = backbone.head(hidden).flatten(0, 1)
    expected = interpolating_bound(logits, x.flatten(), z.flatten(), *wide).view_as(x)
    (expected * batch["scored"]).sum().backward()
    exact = form == "efficient"  # the other's weights are float32
    tolerance = {"rtol": 1e-7, "atol": 1e-9} if exact else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(values, expected * batch["scored"], **tolerance)
    for name, one in algorithm.named_parameters():
        torch.testing.assert_close(got[name], one.grad, **tolerance, msg=name)
    assert got["backbone.embedding.weight"][:N].abs().amin(0).min() > 0


@forms
def test_no_tensor_of_positions_by_vocabulary(form: str) -> None:
    """The largest is a chunk of logits, or of normals; both have a size of their own."""
    size, batch = 50257, a_batch(50257, 64, 16)
    algorithm = build("duo", size, 64, curriculum=form)
    with LargestTensor() as largest:
        algorithm.objective(batch).sum().backward()
    assert largest.elements <= LEAST_ROWS * (size + ALIGNED) < 16 * 64 * size / 3


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"curriculum": "x"}, r"algo.curriculum='x': choose from efficient, full"),
        ({"k": 1}, "algo.k=1: must be at least 2"),
        ({"k": 5}, "algo.k=5: at least 2 and below the 5"),
        ({"tau": 0.0}, "algo.tau=0.0: must be positive"),
        ({"curriculum_share": 1.1}, "algo.curriculum_share=1.1: must be from 0 to 1"),
        (
            {"gamma_min": 1.0, "gamma_max": 0.5},
            "algo.gamma_min=1: must be below algo.gamma_max=0.5",
        ),
        ({"gamma_min": -9.0}, "algo.gamma_min=-9: must be from -8 to 8"),
        ({"gamma_max": 9.0}, "algo.gamma_max=9: must be from -8 to 8"),
    ],
)
def test_refused_settings_name_the_key(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("duo", N, **own)
