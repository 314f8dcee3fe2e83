"""Steps of gradients written over the logits: what spares a second array of the vocabulary's
size."""

from torch import Tensor


def exponentials_(logits: Tensor, *tokens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Turns logits (n, N) into e = exp(logit - the row's largest) in place, p = e / total: the
    totals (n,), and log p(token) (n,) for each of `tokens`."""
    peak = logits.amax(-1, keepdim=True)
    at_tokens = [logits.gather(-1, token.unsqueeze(-1)) for token in tokens]
    total = logits.sub_(peak).exp_().sum(-1)  # from 1 to N: no probability underflows in its log
    log_total = peak.squeeze(-1) + total.log()
    return total, [logit.squeeze(-1) - log_total for logit in at_tokens]


def add_at_(values: Tensor, token: Tensor, amount: Tensor) -> None:
    values.scatter_add_(-1, token.unsqueeze(-1), amount.to(values.dtype).unsqueeze(-1))
