"""Log-likelihoods of several answers to one question, measured on the same noise: errors of each,
and of their differences."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from evaluation.bootstrap import SURE, Estimate


class Lead(NamedTuple):
    """How far the likeliest answer is ahead of the next, in nats: the standard error from the
    differences pass by pass, and what it would be were the answers measured independently."""

    value: float
    stderr: float
    unpaired: float

    @property
    def decided(self) -> bool:
        """Whether the lead exceeds two of its standard errors."""
        return self.value > SURE * self.stderr


def estimate(passes: Tensor) -> Estimate:
    """Mean of one value per pass (P,); a single pass stands for an exact value. Passes count as
    independent, which over-states the error where their times are stratified."""
    count = len(passes)
    error = float(passes.std()) / math.sqrt(count) if count > 1 else 0.0
    return Estimate(float(passes.mean()), error)


def lead(answers: Sequence[Tensor]) -> Lead:
    """Of the first among two or more answers, (P,) each, pass p of all on the same noise."""
    passes = torch.stack(list(answers))  # (answers, P)
    first, second = passes.mean(1).topk(2).indices.tolist()
    gap = estimate(passes[first] - passes[second])
    alone = math.hypot(estimate(passes[first]).stderr, estimate(passes[second]).stderr)
    return Lead(gap.value, gap.stderr, alone)


@dataclass(frozen=True)
class Precision:
    """Errors of a task from its passes: root mean squares of standard errors in nats, of one
    log-likelihood and of a lead; the share of questions whose lead is not decided. None where no
    question has two answers."""

    log_likelihood_stderr: float
    lead_stderr: float | None
    lead_stderr_unpaired: float | None
    undecided: float | None


def precision(questions: Collection[Sequence[Tensor]]) -> Precision:
    """Over questions, each the passes (P,) of its answers; ValueError where there is none."""
    if not questions:
        raise ValueError("no question was asked")
    leads = [lead(answers) for answers in questions if len(answers) > 1]
    errors = [estimate(passes).stderr for answers in questions for passes in answers]
    if not leads:
        return Precision(_root_mean_square(errors), None, None, None)
    return Precision(
        log_likelihood_stderr=_root_mean_square(errors),
        lead_stderr=_root_mean_square([ahead.stderr for ahead in leads]),
        lead_stderr_unpaired=_root_mean_square([ahead.unpaired for ahead in leads]),
        undecided=sum(not ahead.decided for ahead in leads) / len(leads),
    )


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value * value for value in values) / len(values))
