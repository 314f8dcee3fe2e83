"""Row functions that torch.compile makes one kernel of, or a few, with the casts around them: each
reads the logits as the product made them, and writes the gradient as the next products take it."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

FEWEST = 2  # rows: a compiled function of one is another one
# Of torch.compile: on a GPU what is computed from a logit is computed again where it is needed
# again, as an array of it costs more.
OPTIONS: dict[str, dict[str, Any]] = {
    "cuda": {"realize_opcount_threshold": 200, "realize_reads_threshold": 20}
}


@runtime_checkable
class Taught(Protocol):
    """A row function that compares with the logits of another network, whose product stays outside:
    it gives a function of those, and them."""

    of_logits: Callable[..., tuple[Any, Tensor]]  # (*columns)


def gradient_of(
    fn: Any, dtype: torch.dtype, logits: Tensor, gradient: Tensor, columns: Sequence[Any]
) -> tuple[Tensor, Tensor]:
    """fn.with_gradient(logits (n, V) in `dtype`, *columns), with its gradient in `gradient` (n, V),
    which may be in the place of the logits, and is not if `logits` are elsewhere."""
    if isinstance(fn, Taught):
        fn, *columns = fn.of_logits(*columns)
    # Arrays of one memory hinder the compiler, and strides other than the sizes it takes for
    # numbers that change.
    in_place = logits.data_ptr() == gradient.data_ptr()
    arrays = (_whole_rows(logits), None if in_place else _whole_rows(gradient))
    run = _compiled(logits.device.type) if len(logits) >= FEWEST else _with_casts
    given = _of_any_length((*arrays, *columns))
    values: tuple[Tensor, Tensor] = run(fn.with_gradient, dtype, logits.shape[1], *given)
    return values


def _with_casts(
    with_gradient: Callable[..., tuple[Tensor, Tensor]],
    dtype: torch.dtype,
    size: int,
    logits: Tensor,
    gradient: Tensor | None,
    *columns: Any,
) -> tuple[Tensor, Tensor]:
    rows = logits[:, :size].to(dtype, copy=gradient is not None)
    values = with_gradient(rows, *columns)
    (logits if gradient is None else gradient)[:, :size].copy_(rows)
    return values


def _whole_rows(values: Tensor) -> Tensor:
    """Values (n, N) with what lies between its rows."""
    width = values.stride(0)
    return values.as_strided((len(values), width), (width, 1))


@cache
def _compiled(device: str) -> Callable[..., tuple[Tensor, Tensor]]:
    return torch.compile(_with_casts, options=OPTIONS.get(device))


def _of_any_length(columns: Sequence[Any]) -> Sequence[Any]:
    """The same, whose number of rows no compiled function depends on."""
    for column in columns:
        for tensor in column if isinstance(column, tuple) else (column,):
            if isinstance(tensor, Tensor):
                torch._dynamo.maybe_mark_dynamic(tensor, 0)
    return columns
