"""The autoregressive baseline: exact likelihoods, left to right."""

from collections.abc import Callable

import torch
from torch import Tensor

from algos.base import FIRST, PLAIN, Algorithm, Batch, Draws
from algos.facts import FACTS
from diffusion.bound import next_token_nats
from diffusion.chunked import chunked
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction


class AR(Algorithm):
    """-sum_i log p(x_i | x_<i) on a causal backbone; the first token of a block is given, never
    scored."""

    facts = FACTS["ar"]
    nll_is_bound = False

    def objective(self, batch: Batch) -> Tensor:
        return self.nll(batch)

    def nll(self, batch: Batch, draws: Draws = FIRST) -> Tensor:
        hidden = self.backbone(batch["tokens"][:, :-1], **self.dropout(batch))
        rows = self.scored(batch)[:, 1:]
        nats = chunked(
            next_token_nats, self.backbone.head, hidden, batch["tokens"][:, 1:], rows=rows
        )
        # Not padded, whose derivative would make a dense array of the gradient of a sum.
        return torch.cat([torch.zeros_like(nats[:, :1]), nats], 1)

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        warper: LogitsWarper = PLAIN,
        guidance: Guidance | None = None,
    ) -> Tensor:
        given = fixed.sum(-1)
        prefix = torch.arange(tokens.shape[1], device=given.device) < given.unsqueeze(-1)
        if not torch.equal(prefix, fixed) or bool((given == 0).any()):
            raise ValueError("algo=ar takes prefixes only: every text begins with what is given")
        if guidance is not None:
            raise ValueError("sampling.guidance: algo=ar has no prediction without its prompt")
        read = self.backbone.decoder(tokens.shape[1])

        def step(newest: Tensor) -> Prediction:
            return self.prediction(read(newest)[:, -1:], warper)

        return sampler(step, tokens, given)
