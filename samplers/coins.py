"""The coins of one step, one for each position of each text: the only place that flips them."""

from collections.abc import Callable

import torch
from torch import Tensor


class Independent:
    """One coin for each position (B, L), flipped once, whatever chances are asked of them; each by
    itself."""

    nested = True  # a coin that falls with some chance falls with every greater one

    def __init__(self, shape: tuple[int, ...], device: torch.device):
        self.uniform = torch.rand(shape, dtype=torch.float64, device=device)

    def uniforms(self, chance: Tensor) -> Tensor:
        """(B, L) float64, each uniform in [0, 1), below `chance` (B, L) where the coin falls."""
        return self.uniform

    def __call__(self, chance: Tensor) -> Tensor:
        """(B, L) bool: where the coin falls, with the chance (B, L) at each position."""
        return self.uniform < chance


class Systematic:
    """The coins of a text spread evenly: with the chances rho_l laid end to end in a random order,
    from one uniform offset r on, those fall whose stretch has a whole number in it.

    Each falls with its chance rho_l, as alone; how many fall is within one of sum_l rho_l, the
    mean. Where all chances are equal these are the coins u_l = ((r + pi(l)) / n mod 1) < rho of a
    random permutation pi, in law."""

    nested = False  # a coin's place in the row depends on the other chances

    def __init__(self, shape: tuple[int, ...], device: torch.device):
        self.offset = torch.rand((*shape[:-1], 1), dtype=torch.float64, device=device)
        self.order = torch.rand(shape, dtype=torch.float64, device=device).argsort(-1)
        self.within = torch.rand(shape, dtype=torch.float64, device=device)

    def uniforms(self, chance: Tensor) -> Tensor:
        fallen, chance = self(chance), chance.double().clamp(0, 1)
        low, high = torch.where(fallen, 0.0, chance), torch.where(fallen, chance, 1.0)
        return low + (high - low) * self.within

    def __call__(self, chance: Tensor) -> Tensor:
        chance = chance.expand(self.order.shape)
        # A coin that is sure to fall, or not to, takes no part: no rounding may decide of it.
        free = torch.where((chance > 0) & (chance < 1), chance.double(), 0.0)
        ends = (free.gather(-1, self.order).cumsum(-1) + self.offset).floor()
        fallen = torch.diff(ends, dim=-1, prepend=torch.zeros_like(self.offset)) > 0
        return torch.zeros_like(fallen).scatter(-1, self.order, fallen) | (chance >= 1)


Coins = Independent | Systematic
MakeCoins = Callable[[tuple[int, ...], torch.device], Coins]
COINS: dict[str, MakeCoins] = {"independent": Independent, "systematic": Systematic}
