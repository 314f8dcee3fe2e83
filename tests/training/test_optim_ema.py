"""Learning rates by hand, the average by its recursion."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.ema import EMA
from training.optim import SCHEDULES, adamw


def test_constant_with_warmup() -> None:
    factor = SCHEDULES["constant_warmup"](num_warmup_steps=4, max_steps=10)
    assert [factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert SCHEDULES["constant_warmup"](num_warmup_steps=0, max_steps=10)(0) == 1


def test_cosine_with_warmup() -> None:
    factor = SCHEDULES["cosine_warmup"](num_warmup_steps=2, max_steps=12, min_ratio=0.1)
    assert [factor(step) for step in range(2)] == [0.5, 1]
    assert factor(2) == pytest.approx(1)
    assert factor(7) == pytest.approx(0.55)
    assert factor(12) == factor(99) == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"lr_scheduler.num_warmup_steps=12.*trainer.max_steps=12"):
        SCHEDULES["cosine_warmup"](num_warmup_steps=12, max_steps=12)


def test_adamw_decays_every_parameter() -> None:
    net = nn.Linear(3, 3)
    optimizer = adamw(net.parameters(), lr=0.1, beta1=0.8, beta2=0.9, eps=1e-9, weight_decay=0.5)
    (group,) = optimizer.param_groups
    assert len(group["params"]) == 2
    assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (
        0.1,
        (0.8, 0.9),
        1e-9,
        0.5,
    )


def run_ema(ema: EMA, net: nn.Module, values: list[float], start: int = 0) -> None:
    for step, value in enumerate(values, start=start + 1):
        nn.init.constant_(net.weight, value)
        for _ in range(2):  # the second call is a micro-batch without an optimizer step
            ema.on_train_batch_end(SimpleNamespace(global_step=step), net, None, None, 0)


def test_average_follows_its_recursion_with_warmup_and_survives_a_restart() -> None:
    values = [float(i * i % 7) for i in range(60)]
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 0.5)
    expected = 0.5
    for n, value in enumerate(values):
        decay = min(0.8, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    ema = EMA(0.8)
    ema.on_fit_start(None, net)
    run_ema(ema, net, values[:30])
    checkpoint: dict = {}
    ema.on_save_checkpoint(None, net, checkpoint)
    again = EMA(0.8)
    again.on_load_checkpoint(None, net, checkpoint)
    again.on_fit_start(None, net)
    run_ema(again, net, values[30:], start=30)
    assert float(again.average["weight"]) == pytest.approx(expected, rel=1e-5)
    raw = float(net.weight.detach())
    again.on_validation_start(None, net)
    assert float(net.weight.detach()) == pytest.approx(expected, rel=1e-5)
    again.on_validation_end(None, net)
    assert float(net.weight.detach()) == raw


def test_ema_refuses_what_is_no_decay_and_a_run_without_average() -> None:
    with pytest.raises(ValueError, match=r"training.ema=1"):
        EMA(1.0)
    with pytest.raises(ValueError, match=r"training.ema"):
        EMA(0.9).on_load_checkpoint(None, nn.Linear(1, 1), {"state_dict": {}})


def test_average_is_a_copy() -> None:
    net = nn.Linear(2, 2)
    ema = EMA(0.9)
    ema.on_fit_start(None, net)
    before = ema.average["weight"].clone()
    with torch.no_grad():
        net.weight.add_(1)
    assert torch.equal(ema.average["weight"], before)
