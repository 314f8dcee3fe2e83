"""Steps of gradients written over the logits: what spares a second array of the vocabulary's
size."""

import torch
from torch import Tensor


def exponentials_(logits: Tensor, *tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Turns logits (n, N) into e = exp(logit - the row's largest) in place, p = e / total: the
    totals (n,), and log p(token) (n,) for each of `tokens`."""
    peak = logits.amax(-1, keepdim=True)
    at_tokens = [logits.gather(-1, token.unsqueeze(-1)) for token in tokens]
    # From 1 to N: no probability underflows in its log. torch.compile knows a softmax by keepdim.
    total = logits.sub_(peak).exp_().sum(-1, keepdim=True).squeeze(-1)
    log_total = peak.squeeze(-1) + total.log()
    return total, [logit.squeeze(-1) - log_total for logit in at_tokens]


def add_at_(values: Tensor, token: Tensor, amount: Tensor) -> None:
    """values (n, N) += amount (n,) at token (n,)."""
    token, amount = token.unsqueeze(-1), amount.to(values.dtype).unsqueeze(-1)
    if torch.compiler.is_compiling():  # a scatter is a kernel of its own
        values.add_(torch.where(_columns(values) == token, amount, 0.0))
    else:
        values.scatter_add_(-1, token, amount)


def put_at_(values: Tensor, token: Tensor, number: float) -> None:
    """values (n, N) = number at token (n,)."""
    if torch.compiler.is_compiling():
        values.masked_fill_(_columns(values) == token.unsqueeze(-1), number)
    else:
        values.scatter_(-1, token.unsqueeze(-1), number)


def _columns(values: Tensor) -> Tensor:
    return torch.arange(values.shape[-1], device=values.device)
