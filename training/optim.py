"""AdamW and the learning rate over time."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

Factor = Callable[[int], float]  # step (0 is the first) -> multiple of the learning rate


def adamw(
    parameters: Iterable[nn.Parameter],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> torch.optim.AdamW:
    """AdamW in one fused kernel; weight decay applies to every parameter, as in the papers'
    code."""
    betas = (beta1, beta2)
    return torch.optim.AdamW(parameters, lr, betas, eps, weight_decay, fused=True)


def constant_warmup(num_warmup_steps: int, max_steps: int) -> Factor:
    """Linear from 1/num_warmup_steps to 1, then constant."""

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / max(1, num_warmup_steps))

    return factor


def cosine_warmup(num_warmup_steps: int, max_steps: int, min_ratio: float = 0.1) -> Factor:
    """Linear warm-up, then half a cosine from 1 down to `min_ratio` at `max_steps`."""
    if num_warmup_steps >= max_steps:
        raise ValueError(
            f"lr_scheduler.num_warmup_steps={num_warmup_steps}: must be below "
            f"trainer.max_steps={max_steps}"
        )

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / num_warmup_steps
        progress = min(1.0, (step - num_warmup_steps) / (max_steps - num_warmup_steps))
        return min_ratio + (1 - min_ratio) * (1 + math.cos(math.pi * progress)) / 2

    return factor


SCHEDULES: dict[str, Callable[..., Factor]] = {
    "constant_warmup": constant_warmup,
    "cosine_warmup": cosine_warmup,
}
