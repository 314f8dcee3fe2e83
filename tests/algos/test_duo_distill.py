"""Distillation: one Gaussian path, rounds, and a teacher that nothing but a new round changes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algos.duo_distill import DUODistill
from backbones.dit import DiT
from diffusion import rows as rows_room
from diffusion.schedule import LogLinear
from tests.algos.configured import a_batch, build
from tests.diffusion.tensor_sizes import LargestTensor
from tests.integral import reference
from training.ema import EMA

N, L = 5, 6
Reach = Callable[[int], None]


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Sets the number of optimizer steps so far."""
    return lambda step: monkeypatch.setattr(DUODistill, "global_step", property(lambda _: step))


def student(max_steps: int = 10, rounds: int = 5, dropout: float = 0.0, **own: Any) -> DUODistill:
    torch.manual_seed(1)
    network = DiT(N, 16, L, n_blocks=1, n_heads=2, cond_dim=8, dropout=dropout)
    made = DUODistill(
        backbone=own.pop("backbone", network),
        alpha=LogLinear(),
        vocab_size=N,
        global_batch_size=8,
        max_steps=max_steps,
        rounds=rounds,
        optimizer=partial(torch.optim.AdamW, lr=0.01),
        lr_factor=lambda step: 1.0,
        **own,
    )
    change(made)
    return made


def change(algorithm: DUODistill, by: float = 0.3) -> None:
    """Weights that are rough, and others than they were."""
    with torch.no_grad():
        for parameter in algorithm.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=by)


def entered(network: DiT) -> list[tuple[Tensor, Tensor]]:
    """The tokens and levels of the evaluations from here on."""
    seen: list[tuple[Tensor, Tensor]] = []
    network.register_forward_pre_hook(lambda _, args: seen.append((args[0], args[1])))
    return seen


@pytest.mark.parametrize("grid", [1, 8])
def test_both_look_at_one_path(grid: int) -> None:
    """Each token is x or one other; x gives way to it once; how often, says the operator by another
    quadrature."""
    algorithm, batch = student(gamma_min=-3.0, gamma_max=2.0, grid=grid), a_batch(N, L, 4000)
    algorithm.global_batch_size = 4000
    teacher = algorithm.teacher()
    now, then = entered(algorithm.backbone), entered(teacher)
    with torch.no_grad():
        algorithm.objective(batch)
    x, noised = batch["tokens"], batch["noised"]
    t = algorithm.training_times(batch)
    times = t, (t - 1 / grid).clamp_min(0)
    assert (times[1] == 0).any() and (grid == 1 or (times[1] > 0).any())
    for ((z, level),), time in zip((now, then), times, strict=True):
        exact = [reference.keep(-3 + 5 * float(one), N) for one in time[:5]]
        assert (-level[:5]).exp().tolist() == pytest.approx(exact, rel=1e-9)
        chance = (-level).exp() + (1 - (-level).exp()) / N
        stayed, rows = (z == x)[:, 1:].double().sum(), L - 1
        error = float((rows * chance * (1 - chance)).sum().sqrt())
        assert abs(float(stayed - rows * chance.sum())) < 4 * error
        assert (z[~noised] == x[~noised]).all()
    late, early = now[0][0], then[0][0]
    assert ((early == x) | (early == late)).all()
    assert (early[late == x] == x[late == x]).all()
    assert (early != late).any() and ((early != x).any() or grid == 1)


@pytest.mark.parametrize("divergence", ["reverse", "forward"])
def test_the_loss_is_the_divergence_of_the_two_predictions(divergence: str) -> None:
    algorithm, batch = student(divergence=divergence, grid=4).double(), a_batch(N, L)
    teacher = algorithm.teacher()
    change(algorithm, 0.2)
    now, then = entered(algorithm.backbone), entered(teacher)
    values = algorithm.objective(batch)
    values.sum().backward()
    got = algorithm.backbone.embedding.weight.grad.clone()
    algorithm.zero_grad()
    log_p, log_q = (
        net.head(net(*seen[0])).log_softmax(-1)
        for net, seen in ((algorithm.backbone, now), (teacher, then))
    )
    first, second = (log_p, log_q) if divergence == "reverse" else (log_q, log_p)
    expected = (first.exp() * (first - second)).sum(-1) * batch["scored"]
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-12)
    assert (values[batch["scored"]] > 0).all()
    expected.sum().backward()
    torch.testing.assert_close(got, algorithm.backbone.embedding.weight.grad)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


@pytest.mark.parametrize(
    ("steps", "rounds"), [(10, 5), (7, 5), (6, 5), (11, 4), (5, 5), (6, 1), (50_000, 5)]
)
def test_as_many_rounds_as_asked_for_and_a_teacher_for_each(
    steps: int, rounds: int, reach: Reach
) -> None:
    algorithm, teachers, starts = student(steps, rounds, grid=8), [], []
    for step in range(0, steps, max(1, steps // 1000)):
        reach(step)
        teacher = algorithm.teacher()
        if not teachers or teacher is not teachers[-1]:
            teachers.append(teacher)
            starts.append(step)
            assert algorithm.delta() == min(1, 2 ** (len(teachers) - 1) / 8)
    assert starts[0] == 0 and len(starts) == rounds
    lengths = [end - start for start, end in zip(starts, [*starts[1:], steps], strict=True)]
    assert max(lengths) - min(lengths) <= 1
    reach(2 * steps)  # trainer.max_steps may be more than algo.max_steps
    assert algorithm.teacher() is teachers[-1]


@pytest.mark.parametrize("kind", ["raw", "averaged"])
def test_a_round_begins_with_the_students_weights_or_their_average(kind: str, reach: Reach) -> None:
    algorithm = student(teacher=kind)
    ema = EMA(0.5)
    ema.on_fit_start(None, algorithm)
    algorithm.average = lambda: ema.average
    for step, own in enumerate(["raw", "raw", kind, kind, kind]):
        reach(step)
        if step in (0, 2, 4):
            raw = {name: one.clone() for name, one in algorithm.named_parameters()}
            weights = {"raw": raw, "averaged": {k: v.clone() for k, v in ema.average.items()}}[own]
        for name, tensor in algorithm.teacher().state_dict().items():
            assert torch.equal(tensor, weights[f"backbone.{name}"]), (step, name)
        change(algorithm)
        assert all(not torch.equal(raw[k], one) for k, one in algorithm.named_parameters())
        for average in ema.average.values():
            average.mul_(0.9)


def test_the_teacher_is_frozen_and_out_of_reach() -> None:
    algorithm, batch = student(dropout=0.5), a_batch(N, L)
    names, parameters = set(algorithm.state_dict()), set(algorithm.parameters())
    teacher = algorithm.teacher()
    algorithm.train()
    level = torch.full((8,), 0.3)
    first, second = (teacher(batch["tokens"], level) for _ in range(2))
    assert torch.equal(first, second) and not first.requires_grad
    assert not torch.equal(*(algorithm.backbone(batch["tokens"], level) for _ in range(2)))
    assert not any(module.training for module in teacher.modules())

    assert set(algorithm.state_dict()) == names and set(algorithm.parameters()) == parameters
    own = set(teacher.parameters())
    assert own.isdisjoint(parameters) and not own & set(algorithm.backbone.parameters())
    groups = algorithm.configure_optimizers()["optimizer"].param_groups
    assert own.isdisjoint(one for group in groups for one in group["params"])
    ema = EMA(0.9)
    ema.on_fit_start(None, algorithm)
    assert set(ema.average) == {name for name, _ in algorithm.named_parameters()}
    assert not any(module is teacher for module in algorithm.modules())


@pytest.mark.parametrize("divergence", ["reverse", "forward"])
def test_nothing_to_learn_costs_nothing(divergence: str) -> None:
    """A student that is its teacher, no step back in time; then with another head."""
    algorithm, batch = student(divergence=divergence, grid=10**12), a_batch(N, L)
    values = algorithm.objective(batch)
    values.sum().backward()
    assert values.abs().max() < 1e-6
    assert all(one.grad.abs().max() < 1e-5 for one in algorithm.parameters())
    change(algorithm, 0.05)
    assert (algorithm.objective(batch)[batch["scored"]] > 1e-5).all()


@pytest.mark.parametrize("divergence", ["reverse", "forward"])
@pytest.mark.parametrize("step", [0, 9])
def test_a_student_that_knows_tokens_of_one_law_stays(
    step: int, divergence: str, reach: Reach
) -> None:
    """Independent tokens: their law is the best prediction at every level, so no round moves it;
    another law costs what it differs by."""
    reach(step)
    algorithm, batch = student(divergence=divergence, grid=4), a_batch(N, L)
    head = algorithm.backbone.head
    nn.init.zeros_(head.weight)
    law = head.bias.detach().log_softmax(-1)
    algorithm.teacher()
    assert algorithm.objective(batch).abs().max() < 1e-6
    with torch.no_grad():
        head.bias += torch.tensor([1.0, 0.0, -1.0, 0.5, 0.0])
    other = head.bias.detach().log_softmax(-1)
    first, second = (other, law) if divergence == "reverse" else (law, other)
    expected = float((first.exp() * (first - second)).sum())
    values = algorithm.objective(batch)[batch["scored"]]
    torch.testing.assert_close(values, torch.full_like(values, expected), rtol=1e-5, atol=1e-7)


def test_it_is_evaluated_as_udlm() -> None:
    algorithm, udlm, batch = student(), build("udlm", N, L), a_batch(N, L)
    algorithm.teacher()
    udlm.load_state_dict(algorithm.state_dict())
    udlm.seed = algorithm.seed
    assert torch.equal(algorithm.nll(batch), udlm.nll(batch))


def test_no_tensor_of_positions_by_vocabulary() -> None:
    size, batch = 50257, a_batch(50257, 64, 16)
    algorithm = build("duo_distill", size, 64)
    algorithm.teacher()
    with LargestTensor() as largest:
        algorithm.objective(batch).sum().backward()
    assert largest.elements <= rows_room.LEAST_ROWS * (size + 64) < 16 * 64 * size / 3


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"divergence": "x"}, r"algo.divergence='x': choose from forward, reverse"),
        ({"teacher": "x"}, r"algo.teacher='x': choose from averaged, raw"),
        ({"rounds": 11}, "algo.rounds=11: from 1 to trainer.max_steps=10"),
        ({"rounds": 0}, "algo.rounds=0: must be at least 1"),
        ({"grid": 0}, "algo.grid=0: must be at least 1"),
        ({"gamma_min": 3.0, "gamma_max": 2.0}, "algo.gamma_min=3: must be below algo.gamma_max=2"),
        ({"gamma_min": -8.1}, "algo.gamma_min=-8.1: must be from -8 to 8"),
    ],
)
def test_refused_settings_name_the_key(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        student(**own)
