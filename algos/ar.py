"""The autoregressive baseline: exact likelihoods, left to right."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from algos.base import Algorithm, Batch
from backbones import KVCache
from diffusion.bound import next_token_nats
from diffusion.chunked import Prediction, chunked


class AR(Algorithm):
    """-sum_i log p(x_i | x_<i) on a causal backbone; the first token of a block is given, never
    scored."""

    nll_is_bound = False
    scores_first = False

    def objective(self, batch: Batch) -> Tensor:
        return self.nll(batch)

    def nll(self, batch: Batch) -> Tensor:
        hidden = self.backbone(batch["tokens"][:, :-1])
        rows = self.scored(batch)[:, 1:]
        nats = chunked(
            next_token_nats, self.backbone.head, hidden, batch["tokens"][:, 1:], rows=rows
        )
        return F.pad(nats, (1, 0))

    def sample(
        self, shape: tuple[int, int], sampler: Callable[..., Tensor], prompt: Tensor
    ) -> Tensor:
        cache = KVCache(shape[1])

        def step(newest: Tensor) -> Prediction:
            self.network_evaluations += 1
            return self.prediction(self.backbone(newest, cache=cache))

        return sampler(step, prompt, shape[1])
