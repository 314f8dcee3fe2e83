"""A network that is built in parts: the weights of one that is not, in less memory."""

import weakref
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from backbones.dit import DiT
from training.building import built_in_parts
from training.sharding import rows_of

PARTS = 4


class Alive(TorchDispatchMode):
    """The most bytes of tensors at once that operations made."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        result = function(*arguments, **(keywords or {}))
        if isinstance(result, Tensor) and not result.is_meta:
            storage = result.untyped_storage()
            if storage._cdata not in self.seen:
                self.seen.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
                self.most = max(self.most, self.now)
        return result

    def _gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def network(causal: bool = False, blocks: int = 12) -> partial[DiT]:
    return partial(DiT, 301, 64, 16, blocks, 2, cond_dim=32, causal=causal)


def part(weight: Tensor, number: int) -> Tensor:
    return weight[rows_of(len(weight), PARTS, number)].clone()


@pytest.mark.parametrize("causal", [False, True])
def test_the_parts_are_those_of_a_whole_network(causal: bool) -> None:
    torch.manual_seed(3)
    whole, after = network(causal)(), torch.rand(3)
    parts = []
    for number in range(PARTS):
        torch.manual_seed(3)
        built, rows = built_in_parts(network(causal), partial(part, number=number))
        assert torch.equal(torch.rand(3), after)  # what is drawn next is the same, too
        assert all(weight.is_meta for weight in built.parameters())
        assert rows.keys() == dict(built.named_parameters()).keys()
        parts.append(rows)
    for name, weight in whole.named_parameters():
        assert torch.equal(torch.cat([rows[name] for rows in parts]), weight), name


def test_no_process_has_the_whole_network() -> None:
    """A part of every weight, and the largest of them with its part."""
    sizes = [p.numel() * 4 for p in network()().parameters()]
    with Alive() as whole:
        network()()
    with Alive() as alive:
        built_in_parts(network(), partial(part, number=0))
    assert whole.most >= sum(sizes)
    assert alive.most <= sum(sizes) / PARTS + 1.5 * max(sizes)
    assert alive.most < whole.most / 2


def test_what_comes_after_is_built_as_ever() -> None:
    built_in_parts(network(blocks=1), partial(part, number=0))
    assert not any(p.is_meta for p in nn.Sequential(nn.Linear(2, 2)).parameters())


@pytest.mark.parametrize("length", [0, 1, 5, 8, 9])
def test_rows_are_those_of_chunk(length: int) -> None:
    rows = torch.arange(length)
    chunks = [*rows.chunk(PARTS)] if length else []
    chunks += [rows[:0]] * (PARTS - len(chunks))
    for number, chunk in enumerate(chunks):
        assert torch.equal(rows[rows_of(length, PARTS, number)], chunk)
