"""Learning rates by hand, the groups of the optimizer."""

import pytest
from torch import nn

from training.optim import SCHEDULES, adamw


def test_constant_warmup_is_linear_then_one() -> None:
    factor = SCHEDULES["constant_warmup"](num_warmup_steps=4, max_steps=10)
    assert [factor(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert SCHEDULES["constant_warmup"](num_warmup_steps=0, max_steps=10)(0) == 1


def test_cosine_warmup_by_hand() -> None:
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
