"""The exact likelihood of texts under a sampler that reveals masks in a deterministic order (arXiv
2603.01367)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from algos.base import PLAIN, Batch
from algos.denoising import DiffusionAlgorithm
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from samplers.ordered import reveal
from samplers.orders import Order


@dataclass(frozen=True)
class OrderedNats:
    """-log of the probability that `algorithm`, revealing in `order`, writes a text.

    Tokens of a step are drawn independently given all that stands, and the order is a function of
    what stands: the probability is the product over the steps that lead to the text of prod_l
    p(x_l | z), with z filled from the text itself. Positions that are not scored are given."""

    algorithm: DiffusionAlgorithm
    order: Order
    warper: LogitsWarper = PLAIN

    @torch.no_grad()
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The nats (B, L) float64 of each scored token when it is revealed, and the network
        evaluations (B,)."""
        process, x = self.algorithm.process, batch["tokens"]
        nats = torch.zeros_like(x, dtype=torch.float64)
        evaluations = torch.zeros_like(x[:, 0])

        def denoise(z: Tensor, t: Tensor, rows: Tensor) -> Prediction:
            evaluations[rows] += 1
            return self.algorithm.prediction(self.algorithm.hidden(z, t), self.warper)

        def told(prediction: Prediction, where: Tensor, rows: Tensor) -> Tensor:
            nats[rows] += prediction.nats_at(x[rows], where, process.vocab_size)
            return x[rows]

        z = torch.where(self.algorithm.scored(batch), process.mask, x)
        reveal(denoise, process, z, self.order, told)
        return nats, evaluations
