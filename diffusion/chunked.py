"""The only place that turns hidden states into logits, some rows at a time: no (B, L, V) tensor is
ever built."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from diffusion.compiled import gradient_of
from diffusion.head import Affine, Head, Losses, Products, padded, product, tensor_float32
from diffusion.rows import Column, blocks, cut, each, rows_at_once, slices

RowFunction = Callable[..., Tensor]  # (logits (n, V), *columns (n, ...)) -> (n,), or (n, ...)


@runtime_checkable
class WithGradient(Protocol):
    """A row function that brings its gradient along, which spares autograd the vocabulary."""

    with_gradient: Callable[..., tuple[Tensor, Tensor]]  # (logits, *columns): see diffusion.bound


@runtime_checkable
class Prepared(WithGradient, Protocol):
    """One whose gradient takes other columns, made for all rows at once."""

    prepare: Callable[..., tuple[Column, ...]]  # (V, *columns)


@runtime_checkable
class Fused(WithGradient, Protocol):
    """One whose gradient has kernels that take logits as the product makes them."""

    by_kernels: Callable[..., tuple[Tensor, Tensor]]  # as `with_gradient`, for one pass


def chunked(
    fn: RowFunction,
    head: nn.Linear,
    hidden: Tensor,
    *columns: Column,
    rows: Tensor | None = None,
    count: int | None = None,
) -> Tensor:
    """fn(head(hidden), *columns) for each position (B, L), 0 where `rows` (B, L) is False; `count`
    says at how many it is True to a caller's knowledge, which spares waiting for a GPU to count.

    Columns are (B, L, ...) or (B, 1) tensors, or named tuples of them, and get no gradient; without
    gradients fn may return several numbers a row. Gradients reach `hidden` (B, L, D) and the head;
    they are computed with the values, in one pass, when every row's value enters the loss with the
    same factor, and by a second pass over the head otherwise. A function may be
    `WithGradient` or `Prepared`."""
    shape = hidden.shape[:2]
    indices = None if rows is None else _true(rows.flatten(), count)

    def flat(tensor: Tensor) -> Tensor:
        tensor = tensor.expand(*shape, *tensor.shape[2:]).flatten(0, 1)
        return tensor if indices is None else tensor[indices]

    taken = [each(flat, column) for column in columns]

    places = None if indices is None else Places(indices, shape.numel())

    def values_of(layer: nn.Linear | Affine, hidden: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            how = (head.products, head.losses) if isinstance(head, Head) else (None, "torch")
            weights = (layer.weight, layer.bias)
            return _RowsWithGradient.apply(fn, taken, *how, places, hidden, *weights)
        values = _rows(fn, layer, hidden, taken)
        return values if places is None else places.spread(values)

    inputs = flat(hidden)
    values = head(inputs, values_of) if isinstance(head, Head) else values_of(head, inputs)
    return values.unflatten(0, shape)


class Places(NamedTuple):
    """Where the rows (n,) that are asked stand among all positions."""

    indices: Tensor
    positions: int

    def spread(self, values: Tensor) -> Tensor:
        """(positions, ...) of values (n, ...), 0 elsewhere."""
        whole = values.new_zeros(self.positions, *values.shape[1:])
        return whole.index_put_((self.indices,), values)


def _true(rows: Tensor, count: int | None) -> Tensor:
    """The places (n,) where `rows` is True."""
    found = rows.nonzero() if count is None else rows.nonzero_static(size=count)
    return found.squeeze(-1)


def _rows(
    fn: RowFunction, head: nn.Linear | Affine, hidden: Tensor, columns: list[Column]
) -> Tensor:
    """Values (n,) without gradients, from float32 logits whatever the precision of the network:
    where its own products are of half precision, those of the head are TF32 on CUDA."""
    values: list[Tensor] = []
    device = hidden.device.type
    low = torch.is_autocast_enabled(device)
    with torch.autocast(device, enabled=False):
        hidden, width = hidden.to(head.weight.dtype), head.out_features
        parts = slices(len(hidden), rows_at_once(width, device))
        buffer = hidden.new_empty(len(hidden[parts[0]]), padded(width))[:, :width]
        for part in parts:
            rows = hidden[part]
            with tensor_float32(low):
                if isinstance(head, Affine):
                    logits = product(head, rows, buffer[: len(rows)])
                else:  # what only looks like a layer, as the oracle's
                    logits = head(rows)
            values += blocks(fn, logits, cut(columns, part))
    return torch.cat(values)


def _with_gradient(
    fn: RowFunction, logits: Tensor, columns: list[Column]
) -> tuple[Tensor, Tensor, Tensor]:
    """Values (n,), a scale (n,) and an array (n, V), whose product is the gradient of each value to
    its own logits."""
    if not isinstance(fn, WithGradient):
        logits.requires_grad_()
        with torch.enable_grad():
            value = fn(logits, *columns)
            (gradient,) = torch.autograd.grad(value.sum(), logits)
        return value.detach(), torch.ones_like(value), gradient
    values, scales = zip(*blocks(fn.with_gradient, logits, columns), strict=True)
    return torch.cat(values), torch.cat(scales), logits


def _compiled(
    fn: WithGradient, dtype: torch.dtype, logits: Tensor, gradient: Tensor, columns: list[Column]
) -> tuple[Tensor, Tensor]:
    """As `_with_gradient`, of logits in any type, with the array in the place of `gradient`."""

    def some(logits: Tensor, gradient: Tensor, *columns: Column) -> tuple[Tensor, Tensor]:
        return gradient_of(fn, dtype, logits, gradient, columns)

    values, scales = zip(*blocks(some, logits, [gradient, *columns]), strict=True)
    return torch.cat(values), torch.cat(scales)


def _gradients(
    fn: RowFunction,
    columns: list[Column],
    dtype: torch.dtype,
    losses: Losses,
    inputs: tuple[Tensor, Tensor, Tensor],
    factors: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """Values (n,), and the gradients of their sum, weighted by `factors` (n,), to hidden, weight
    and bias; the products in `dtype`, everything else in the weight's."""
    hidden, weight, bias = inputs
    if isinstance(fn, Prepared):
        columns = list(fn.prepare(len(weight), *columns))
    fused = fn.by_kernels if losses == "kernels" and isinstance(fn, Fused) else None
    size = len(weight)
    d_hidden, d_bias = torch.empty_like(hidden), torch.zeros_like(bias)
    d_weight = torch.empty_like(weight)
    values = []
    parts = slices(len(hidden), rows_at_once(size, hidden.device.type))
    # One buffer for all chunks: a new one each time would be memory that the system has to clear.
    products = Products(weight, bias, dtype, len(hidden[parts[0]]), fused is not None)
    for part in parts:
        low_hidden, own = hidden[part].to(dtype), cut(columns, part)
        logits = products(low_hidden)[:, :size]
        if fused is not None:
            value, scale = fused(logits, *own)
            d_logits = logits
        elif losses == "compiled" and isinstance(fn, WithGradient):
            d_logits = products.buffer[: len(low_hidden), :size]
            value, scale = _compiled(fn, weight.dtype, logits, d_logits, own)
        else:
            value, scale, d_logits = _with_gradient(fn, logits.to(weight.dtype), own)
        values.append(value)
        scale = scale if factors is None else scale * factors[part]
        scale = scale.to(weight.dtype).unsqueeze(-1)  # on D numbers a row, not on V
        d_bias += (d_logits.T @ scale.to(d_logits.dtype)).squeeze(-1)
        if products.low:  # the outputs that pad are zero and stay so
            outputs = products.buffer[: len(low_hidden)]
            if d_logits.dtype != dtype:
                outputs[:, :size] = d_logits
            d_logits = outputs
        d_hidden[part] = (d_logits @ products.weight) * scale
        scaled = (low_hidden * scale).to(dtype)
        if not products.low:
            d_weight.addmm_(d_logits.T, scaled, beta=min(part.start, 1))  # 0 for the first part
        elif part.start == 0:
            d_weight.copy_((d_logits.T @ scaled)[:size])
        else:
            d_weight += (d_logits.T @ scaled)[:size]
    return torch.cat(values), [d_hidden, d_weight, d_bias]


class _RowsWithGradient(torch.autograd.Function):
    """Takes the gradients in the forward pass, for the factor one, and scales them in the backward
    pass."""

    @staticmethod
    def forward(
        ctx: Any,
        fn: RowFunction,
        columns: list[Column],
        dtype: torch.dtype | None,
        losses: Losses,
        places: Places | None,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
    ) -> Tensor:
        """Values at all positions. `dtype` of the products; None: that of autocast, or of the
        hidden states without."""
        device = hidden.device.type
        autocast = torch.is_autocast_enabled(device)
        ctx.fn, ctx.columns, ctx.losses, ctx.places = fn, columns, losses, places
        usual = torch.get_autocast_dtype(device) if autocast else hidden.dtype
        ctx.dtype = usual if dtype is None else dtype
        ctx.save_for_backward(hidden, weight, bias)
        with torch.autocast(device, enabled=False):
            inputs = (hidden, weight, bias)
            values, ctx.gradients = _gradients(fn, columns, ctx.dtype, losses, inputs, None)
        return values if places is None else places.spread(values)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, factors: Tensor) -> tuple[Tensor | None, ...]:
        gradients, ctx.gradients = ctx.gradients, None  # scaled in place, so good for one call
        # The gradient of a sum is one number that is expanded: nothing has to be read to know.
        equal = not any(factors.stride())
        if ctx.places is not None and not equal:
            factors = factors[ctx.places.indices]
        if gradients is None or not (equal or bool((factors == factors[:1]).all())):
            if ctx.places is not None and equal:
                factors = factors[ctx.places.indices]
            inputs = ctx.saved_tensors
            how = (ctx.dtype, ctx.losses)
            _, gradients = _gradients(ctx.fn, ctx.columns, *how, inputs, factors)
        elif len(factors):
            for gradient in gradients:
                gradient.mul_(factors[0])
        return None, None, None, None, None, *gradients
