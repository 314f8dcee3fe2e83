"""The averaged weights by their recursion."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.ema import EMA


def run_ema(ema: EMA, net: nn.Module, values: list[float], start: int = 0) -> None:
    for step, value in enumerate(values, start=start + 1):
        nn.init.constant_(net.weight, value)
        for _ in range(2):  # the second call is a micro-batch without an optimizer step
            ema.on_train_batch_end(SimpleNamespace(global_step=step), net, None, None, 0)


def test_ema_follows_its_recursion_with_warmup_and_survives_a_restart() -> None:
    values = [float(i * i % 7) for i in range(60)]
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 0.5)
    expected = 0.5
    for n, value in enumerate(values, start=1):
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


def test_ema_begins_as_in_the_papers_code() -> None:
    """The decays of their first updates are 2/11, 3/12, 4/13."""
    ema, net = EMA(0.9999), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ema.on_fit_start(None, net)
    expected = 0.0
    for step, decay in enumerate((2 / 11, 3 / 12, 4 / 13), start=1):
        nn.init.ones_(net.weight)
        ema.on_train_batch_end(SimpleNamespace(global_step=step), net, None, None, 0)
        expected = decay * expected + (1 - decay)
        assert float(ema.average["weight"]) == pytest.approx(expected, rel=1e-6)


def test_ema_refuses_what_is_no_decay_and_a_run_without_average() -> None:
    with pytest.raises(ValueError, match=r"training.ema=1"):
        EMA(1.0)
    with pytest.raises(ValueError, match=r"training.ema"):
        EMA(0.9).on_load_checkpoint(None, nn.Linear(1, 1), {"state_dict": {}})


def test_ema_is_a_copy() -> None:
    net = nn.Linear(2, 2)
    ema = EMA(0.9)
    ema.on_fit_start(None, net)
    before = ema.average["weight"].clone()
    with torch.no_grad():
        net.weight.add_(1)
    assert torch.equal(ema.average["weight"], before)
