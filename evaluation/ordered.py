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
    p(x_l | z), with z filled from the text itself. Positions that are not scored are given. Blocks
    of a text are revealed each in its own order, all at once: each sees the text before it."""

    algorithm: DiffusionAlgorithm
    order: Order
    warper: LogitsWarper = PLAIN

    @torch.no_grad()
    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The nats (B, L) float64 of each scored token when it is revealed, and the network
        evaluations (B,)."""
        process, texts = self.algorithm.process, batch["tokens"]
        blocks = self.algorithm.blocks_of(texts.shape[1])
        x = texts.view(len(texts) * blocks, -1)
        nats = torch.zeros_like(x, dtype=torch.float64)
        evaluations = torch.zeros_like(texts[:, 0])

        def denoise(z: Tensor, t: Tensor, rows: Tensor) -> Prediction:
            some = (rows // blocks).unique()  # texts
            evaluations[some] += 1
            state, times = x.clone(), torch.zeros(x.shape, dtype=t.dtype, device=t.device)
            state[rows], times[rows] = z, t.unsqueeze(-1).expand(z.shape)
            parts = (part.view(texts.shape)[some] for part in (x, state, times))
            hidden = self.algorithm.hidden_of(*parts)
            where = torch.zeros(len(x), dtype=torch.bool, device=x.device)
            where[rows] = True
            own = where.view(-1, blocks)[some].flatten()
            hidden = hidden.unflatten(1, (blocks, -1)).flatten(0, 1)[own]
            return self.algorithm.prediction(hidden, self.warper)

        def told(prediction: Prediction, where: Tensor, rows: Tensor) -> Tensor:
            nats[rows] += prediction.nats_at(x[rows], where, process.vocab_size)
            return x[rows]

        z = torch.where(self.algorithm.scored(batch), process.mask, texts).view(x.shape)
        reveal(denoise, process, z, self.order, told)
        return nats.view(texts.shape), evaluations
