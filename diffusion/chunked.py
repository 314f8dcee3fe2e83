"""The only place that turns hidden states into logits, some rows at a time: no (B, L, V) tensor is
ever built."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion import categorical

RowFunction = Callable[..., Tensor]  # (logits (n, V), *columns (n, ...)) -> (n,)

# float32 logits held at once: on a CPU few enough to stay near the caches, on a GPU enough to fill
# it
CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}


def chunked(
    fn: RowFunction, head: nn.Linear, hidden: Tensor, *columns: Tensor, rows: Tensor | None = None
) -> Tensor:
    """fn(head(hidden), *columns) for each position (B, L), 0 where `rows` (B, L) is False.

    Columns are (B, L, ...) or (B, 1) tensors and get no gradient. Gradients reach `hidden` (B, L,
    D) and the head; they are computed with the values, in one pass, when every row's value enters
    the loss with the same factor, and by a second pass over the head otherwise."""
    shape = hidden.shape[:2]
    chosen = None if rows is None else rows.flatten().nonzero().squeeze(-1)

    def flat(tensor: Tensor) -> Tensor:
        tensor = tensor.expand(*shape, *tensor.shape[2:]).flatten(0, 1)
        return tensor if chosen is None else tensor[chosen]

    taken = [flat(column) for column in columns]
    if torch.is_grad_enabled():
        values = _RowsWithGradient.apply(fn, flat(hidden), head.weight, head.bias, *taken)
    else:
        values = _rows(fn, head, flat(hidden), *taken)
    if chosen is not None:
        values = values.new_zeros(shape.numel()).index_put((chosen,), values)
    return values.view(shape)


def _slices(count: int, width: int, device: torch.device) -> list[slice]:
    size = max(1, CHUNK_BYTES.get(device.type, CHUNK_BYTES["cpu"]) // (4 * width))
    return [slice(start, start + size) for start in range(0, count, size)]


def _rows(fn: RowFunction, head: nn.Linear, hidden: Tensor, *columns: Tensor) -> Tensor:
    """Values (n,) without gradients, from float32 logits whatever the precision of the network."""
    with torch.autocast(hidden.device.type, enabled=False):
        hidden = hidden.to(head.weight.dtype)
        parts = _slices(len(hidden), head.out_features, hidden.device)
        values = [fn(head(hidden[part]), *(c[part] for c in columns)) for part in parts]
    return torch.cat(values) if values else hidden.new_zeros(0)


def _gradients(
    fn: RowFunction,
    dtype: torch.dtype,
    inputs: tuple[Tensor, Tensor, Tensor],
    columns: tuple[Tensor, ...],
    factors: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Values (n,), and the gradients of their sum, weighted by `factors` (n,), to hidden, weight
    and bias."""
    hidden, weight, bias = inputs
    low_weight, low_bias = weight.to(dtype), bias.to(dtype)
    d_hidden, d_weight, d_bias = (torch.zeros_like(x) for x in inputs)
    values = []
    for part in _slices(len(hidden), len(weight), hidden.device):
        low_hidden = hidden[part].to(dtype)
        logits = F.linear(low_hidden, low_weight, low_bias).to(weight.dtype).requires_grad_()
        with torch.enable_grad():
            value = fn(logits, *(column[part] for column in columns))
            total = value.sum() if factors is None else (value * factors[part]).sum()
        values.append(value.detach())
        (d_logits,) = torch.autograd.grad(total, logits)
        d_bias += d_logits.sum(0)
        d_logits = d_logits.to(dtype)
        d_hidden[part] = d_logits @ low_weight
        if dtype == weight.dtype:
            d_weight.addmm_(d_logits.T, low_hidden)
        else:
            d_weight += d_logits.T @ low_hidden
    return torch.cat(values) if values else hidden.new_zeros(0), [d_hidden, d_weight, d_bias]


class _RowsWithGradient(torch.autograd.Function):
    """Takes the gradients in the forward pass, for the factor one, and scales them in the backward
    pass."""

    @staticmethod
    def forward(
        ctx: Any, fn: RowFunction, hidden: Tensor, weight: Tensor, bias: Tensor, *columns: Tensor
    ) -> Tensor:
        device = hidden.device.type
        autocast = torch.is_autocast_enabled(device)
        ctx.fn, ctx.dtype = fn, torch.get_autocast_dtype(device) if autocast else hidden.dtype
        ctx.save_for_backward(hidden, weight, bias, *columns)
        with torch.autocast(device, enabled=False):
            values, ctx.gradients = _gradients(fn, ctx.dtype, (hidden, weight, bias), columns, None)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, *columns = ctx.saved_tensors
        gradients, ctx.gradients = ctx.gradients, None  # scaled in place, so good for one call
        if gradients is None or not bool((factors == factors[:1]).all()):
            inputs = (hidden, weight, bias)
            _, gradients = _gradients(ctx.fn, ctx.dtype, inputs, tuple(columns), factors)
        elif len(factors):
            for gradient in gradients:
                gradient.mul_(factors[0])
        return None, *gradients, *(None for _ in columns)


class Prediction:
    """What the network says about every position of a batch, answered lazily: hidden states (B, L,
    D) and the head."""

    def __init__(self, head: nn.Linear, hidden: Tensor, temperature: float = 1.0):
        self.head = head
        self.hidden = hidden
        self.temperature = temperature

    @torch.no_grad()
    def mass_at(self, z: Tensor, where: Tensor | None = None) -> Tensor:
        """p(z | .) (B, L) float64, 0 where `where` (B, L) is False."""

        def mass(logits: Tensor, token: Tensor) -> Tensor:
            logits = logits / self.temperature
            log_p = logits.gather(-1, token.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
            return log_p.double().exp()

        return chunked(mass, self.head, self.hidden, z, rows=where)

    @torch.no_grad()
    def draw(self, where: Tensor) -> Tensor:
        """Tokens (B, L) ~ p at the positions where `where` (B, L) is True, 0 elsewhere."""

        def tokens(logits: Tensor) -> Tensor:
            return categorical.draw(logits / self.temperature)

        return chunked(tokens, self.head, self.hidden, rows=where).long()
