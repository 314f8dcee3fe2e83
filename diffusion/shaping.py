"""What may be done to a prediction before a token is drawn from it: logits (n, V) to logits."""

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Shaping:
    """Logits over the temperature, then without the tokens whose p is below min_p max_j p_j."""

    temperature: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"sampling.temperature={self.temperature}: must be positive")
        if not 0 <= self.min_p < 1:
            raise ValueError(f"sampling.min_p={self.min_p}: must be at least 0 and below 1")

    def __call__(self, logits: Tensor) -> Tensor:
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.min_p > 0:
            least = logits.amax(-1, keepdim=True) + math.log(self.min_p)
            logits = logits.masked_fill(logits < least, -math.inf)
        return logits
