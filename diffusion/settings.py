"""The keys of `noise`, by the name of the schedule, and what is done to predictions; only the
standard library."""

from dataclasses import dataclass
from typing import Literal

from schema.fields import field


@dataclass(frozen=True)
class LogLinear:
    name: str = field("log-linear", "alpha(t) = 1 - (1 - eps) t")
    eps: float = field(1e-3, "alpha at t = 1", within="(0, 1)")


@dataclass(frozen=True)
class Cosine:
    name: str = field("cosine", "alpha(t) = 1 - cos(pi/2 (1 - (1 - eps) t))")
    eps: float = field(1e-3, "share of time left at t = 1", within="(0, 1)")


@dataclass(frozen=True)
class Geometric:
    name: str = field("geometric", "-log alpha(t) = sigma_min^(1 - t) sigma_max^t")
    sigma_min: float = field(1e-4, "-log alpha at t = 0", above=0, at_most=1000)
    sigma_max: float = field(20.0, "-log alpha at t = 1", above=0, at_most=1000)

    def check(self) -> None:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(
                f"noise.sigma_min={self.sigma_min}: must be below noise.sigma_max={self.sigma_max}"
            )


Noise = LogLinear | Cosine | Geometric
NOISES: dict[str, type[Noise]] = {cls().name: cls for cls in (LogLinear, Cosine, Geometric)}


@dataclass(frozen=True)
class Prediction:
    """The part of `sampling` that changes logits before a draw."""

    temperature: float = field(1.0, "of the softmax", above=0, at_most=1000)
    top_k: int | None = field(None, "only so many tokens, the likeliest", at_least=1)
    p_nucleus: float = field(
        1.0, "only the likeliest tokens whose sum is this (top-p)", within="(0, 1]"
    )
    nucleus: Literal["keep-crossing", "drop-crossing"] = field(
        "keep-crossing", "with the token that crosses p_nucleus (DUO), or without (ReMDM)"
    )
    min_p: float = field(0.0, "drop tokens below this share of the likeliest one", within="[0, 1)")
