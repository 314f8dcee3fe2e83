"""Watches every tensor that an operation makes, in forward and backward passes alike, and the rows
that go through the head."""

from typing import Any

import pytest
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffusion import chunked
from diffusion.head import Affine


class LargestTensor(TorchDispatchMode):
    """`elements` is the size of the largest tensor made inside the context."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                # an expanded view is as small as what it shows again and again
                self.elements = max(self.elements, min(leaf.numel(), _stored(leaf)))
        return made


def _stored(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes() // tensor.element_size()


def head_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by the rows (n,) of each product with the head, without gradients."""
    rows, product = [], chunked.product

    def counted(head: Affine, hidden: Tensor, outputs: Tensor) -> Tensor:
        rows.append(len(hidden))
        return product(head, hidden, outputs)

    monkeypatch.setattr(chunked, "product", counted)
    return rows
