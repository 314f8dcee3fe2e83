"""MDLM (Sahoo et al., arXiv 2406.07524): masked diffusion, its bound a weighted cross-entropy."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from algos import settings
from algos.base import FIRST, Batch, Draws
from algos.denoising import DiffusionAlgorithm
from algos.facts import FACTS
from algos.noise import by_alpha
from diffusion.bound import masked_bound, masked_nats
from diffusion.schedule import Absorbing, Alpha
from schema.check import check_values

# the bound, and the cross-entropy without its weight
LOSSES: dict[str, Callable[..., Tensor]] = {"bound": masked_bound, "low_var": masked_nats}


class MDLM(DiffusionAlgorithm):
    """-log p(x) <= E_t E_z [ -alpha'/(1 - alpha) sum over masked positions of -log p(x_l | z) ]."""

    facts = FACTS["mdlm"]

    def __init__(
        self,
        alpha: Alpha,
        vocab_size: int,
        sampling_eps: float = 1e-3,
        loss_type: str = "bound",
        time_conditioning: bool = False,
        **diffusion: Any,
    ):
        check_values(settings.MDLM, "algo", loss_type=loss_type)
        super().__init__(
            sampling_eps=(sampling_eps, 0.0),
            **by_alpha(Absorbing, alpha, vocab_size, time_conditioning),
            **diffusion,
        )
        self.loss = LOSSES[loss_type]

    def objective(self, batch: Batch) -> Tensor:
        return self.per_token(self.loss, batch, self.training_noise(batch))

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        return self.bound(masked_bound, batch, draws)
