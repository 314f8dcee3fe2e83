"""Steps of gradients written over the logits: what spares a second array of the vocabulary's
size."""

import torch
from torch import Tensor


def softmax_(logits: Tensor, *tokens: Tensor) -> list[Tensor]:
    """Turns logits (n, N) into probabilities in place; log p(token) (n,) for each of `tokens`."""
    peak = logits.amax(-1, keepdim=True)
    at_tokens = [logits.gather(-1, token.unsqueeze(-1)) for token in tokens]
    torch.softmax(logits, -1, out=logits)
    # The likeliest token has probability 1 / sum exp(logit - peak): right where others underflow.
    log_total = peak - logits.amax(-1, keepdim=True).log()
    return [(logit - log_total).squeeze(-1) for logit in at_tokens]


def add_at_(values: Tensor, token: Tensor, amount: Tensor) -> None:
    values.scatter_add_(-1, token.unsqueeze(-1), amount.to(values.dtype).unsqueeze(-1))
