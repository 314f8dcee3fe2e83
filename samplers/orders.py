"""Orders of unmasking: which masks are revealed next, by what the network says of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion.prediction import Prediction
from samplers.settings import Sampling
from schema.check import check_values


def _entropy(log_p: Tensor) -> Tensor:
    return torch.special.entr(log_p.exp()).sum(-1)


def _margin(log_p: Tensor) -> Tensor:
    first, second = log_p.topk(2).values.exp().unbind(-1)
    return first - second


# log p (n, N) of the tokens -> (n,), the largest of which is revealed first
LOOKS: dict[str, Callable[[Tensor], Tensor]] = {
    "confidence": lambda log_p: log_p.amax(-1),
    "margin": _margin,
    "entropy": lambda log_p: -_entropy(log_p),
}
# the same of the positions (B, L) alone
BLIND: dict[str, Callable[[Tensor], Tensor]] = {
    "left-to-right": lambda place: -place,
    "random": torch.rand_like,
}


@dataclass(frozen=True)
class Order:
    """Masks by `rule`, ties by position: `per_step` at a time, or with `entropy_bound` the longest
    run U of them with sum_U H - max_U H <= entropy_bound nats, H the entropy of p at a position
    (arXiv 2505.24857).

    The rule reads the network's own prediction, whatever temperature and cuts a token is drawn
    with. ValueError for what is unknown or out of range, and for both paces or none."""

    rule: str
    per_step: int | None = None
    entropy_bound: float | None = None

    def __post_init__(self) -> None:
        check_values(
            Sampling,
            "sampling",
            order=self.rule,
            per_step=self.per_step,
            entropy_bound=self.entropy_bound,
        )
        if (self.per_step is None) == (self.entropy_bound is None):
            raise ValueError(
                f"sampling.entropy_bound={self.entropy_bound}: either it or sampling.per_step, "
                f"here {self.per_step}, says how many positions a step reveals"
            )

    def protocol(self) -> dict[str, Any]:
        """The fields of a record that describe it."""
        pace = {"per_step": self.per_step, "entropy_bound": self.entropy_bound}
        given: dict[str, Any] = {"order": self.rule, **pace}
        return {key: value for key, value in given.items() if value is not None}

    def __str__(self) -> str:
        if self.entropy_bound is not None:
            return f"{self.rule}, entropy bound {self.entropy_bound:g}"
        return f"{self.rule}, {self.per_step} per step"

    def steps(self, masks: int) -> int:
        """The most steps for a text with so many masks."""
        return -(-masks // (self.per_step or 1))

    def next(self, prediction: Prediction, masked: Tensor, size: int) -> Tensor:
        """(B, L) bool: the positions to reveal among the `masked` (B, L), of which each text has
        one; the first `size` outputs of the network are tokens."""
        looked = self._looked(prediction, masked, size)
        place = torch.arange(masked.shape[1], device=masked.device).expand(masked.shape)
        worth = looked[..., 0] if self.rule in LOOKS else BLIND[self.rule](place.double())
        worth = worth.masked_fill(~masked, -torch.inf)
        order = worth.argsort(dim=-1, descending=True, stable=True)
        if self.per_step is not None:
            first = place < self.per_step
        else:
            assert self.entropy_bound is not None
            entropy = looked[..., -1].gather(-1, order)
            spread = entropy.cumsum(-1) - entropy.cummax(-1).values
            first = (spread <= self.entropy_bound) | (place == 0)
        return torch.zeros_like(masked).scatter(-1, order, first) & masked

    def _looked(self, prediction: Prediction, masked: Tensor, size: int) -> Tensor:
        """(B, L, n) float64: the rule's look where it has one, then the entropy where there is a
        bound of it."""
        looks = [LOOKS[self.rule]] if self.rule in LOOKS else []
        looks += [] if self.entropy_bound is None else [_entropy]
        if not looks:
            return torch.empty((*masked.shape, 0), dtype=torch.float64, device=masked.device)

        def row(outputs: Tensor) -> Tensor:
            log_p = outputs[:, :size].log_softmax(-1)
            return torch.stack([look(log_p) for look in looks], -1).double()

        return prediction.apply(row, where=masked)


def make_order(sampling: Sampling, rule: str | None, window: int) -> Order:
    """The order by `rule`, null for that of the highest confidence, at the pace of `sampling`;
    ValueError for a step of more positions than a text of `window` tokens has."""
    per_step, bound = sampling.per_step, sampling.entropy_bound
    if per_step is not None and per_step > window:
        raise ValueError(
            f"sampling.per_step={per_step}: at most {window}, the tokens that the network reads"
        )
    if per_step is None and bound is None:
        per_step = 1
    return Order(rule or "confidence", per_step, bound)
