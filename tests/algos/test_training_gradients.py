"""The training objective, through the chunked head, against all logits at once under autograd."""

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import algos
from algos.base import Algorithm
from diffusion import chunked as head_room
from diffusion import rows as rows_room
from tests.algos.configured import NAMES, NOISED, a_batch, build

CHUNKED = [
    module
    for module in vars(algos).values()
    if isinstance(module, ModuleType) and getattr(module, "chunked", None) is head_room.chunked
]
CASES = [*NOISED, ("ar", None)]


def plain(
    fn: Any, head: nn.Linear, hidden: Tensor, *columns: Any, rows: Tensor | None = None
) -> Tensor:
    """`chunked` with the logits (B, L, V) of everything, and torch's own derivatives."""
    rows = torch.ones(hidden.shape[:2], dtype=torch.bool) if rows is None else rows

    def taken(column: Any) -> Any:
        if isinstance(column, Tensor):
            return column.expand(*hidden.shape[:2], *column.shape[2:])[rows]
        return type(column)(*(taken(part) for part in column))

    values = fn(head(hidden)[rows], *(taken(column) for column in columns))
    return torch.zeros(hidden.shape[:2], dtype=torch.float64).index_put((rows,), values.double())


def objective(algorithm: Algorithm) -> tuple[Tensor, dict[str, Tensor]]:
    """Values (B, L) of a fixed batch and noise, and the gradients of the training loss."""
    torch.manual_seed(6)
    algorithm.zero_grad()
    batch = a_batch()
    values = algorithm.objective(batch)
    (values.sum() / batch["scored"].sum()).backward()
    gradients = {
        name: one.grad.clone() for name, one in algorithm.named_parameters() if one.grad is not None
    }
    return values.detach(), gradients


def test_every_module_that_chunks_is_replaced() -> None:
    assert {module.__name__ for module in CHUNKED} >= {"algos.ar", "algos.d3pm", "algos.denoising"}


@pytest.mark.parametrize(("name", "noise"), CASES)
@pytest.mark.parametrize("rows", [1, 5])
def test_chunks_change_neither_values_nor_gradients(
    name: str, noise: str | None, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = build(name, schedule=noise).double()
    for parameter in algorithm.parameters():  # rough enough that no two rows agree
        nn.init.normal_(parameter, std=0.5)
    with monkeypatch.context() as patch:
        patch.setattr("diffusion.rows.LEAST_ROWS", 1)
        patch.setitem(rows_room.CHUNK_BYTES, "cpu", 4 * rows * algorithm.backbone.head.out_features)
        values, gradients = objective(algorithm)
    for module in CHUNKED:
        monkeypatch.setattr(module, "chunked", plain)
    expected, wanted = objective(algorithm)
    assert (values != 0).any() and values.dtype == torch.float64
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-12)
    assert gradients.keys() == wanted.keys() and "backbone.head.weight" in wanted
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[key], rtol=1e-8, atol=1e-10, msg=key)


def test_all_algorithms_are_cases() -> None:
    assert {name for name, _ in CASES} == set(NAMES)
