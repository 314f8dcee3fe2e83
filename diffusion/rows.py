"""How many rows of logits there are at a time: no (B, L, V) tensor is ever built."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

Column = Tensor | tuple[Tensor, ...]

# float32 logits held at once, the output of one product: on a CPU few enough to stay near the
# caches, on a GPU enough to fill it
CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}
LEAST_ROWS = 320  # of a product, however large the vocabulary: fewer are bound by reading the head
# Of these, what a row function gets at a time: on a CPU it makes several passes over them, which
# stay in the cache, and its scratch space is small enough to be used again by the allocator.
BLOCK_BYTES = {"cpu": 2**23, "cuda": 2**29}


def each(function: Callable[[Tensor], Tensor], column: Column) -> Column:
    """function(tensor), or the same named tuple of them."""
    if isinstance(column, Tensor):
        return function(column)
    return type(column)(*(function(tensor) for tensor in column))


def rows_at_once(outputs: int, device: str) -> int:
    """The most rows of one product with a head of so many outputs."""
    return max(LEAST_ROWS, CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (4 * outputs))


def slices(count: int, most: int) -> list[slice]:
    """Of at most so many rows each, as equal as can be: a product of a few last rows is slow."""
    size = max(1, -(-count // max(1, -(-count // most))))
    return [slice(start, start + size) for start in range(0, max(count, 1), size)]


def cut(columns: list[Column], part: slice) -> list[Column]:
    return [each(lambda tensor: tensor[part], column) for column in columns]


def blocks(fn: Callable[..., Any], logits: Tensor, columns: list[Column]) -> Iterator[Any]:
    """fn(logits, *columns) of a few rows after another."""
    limit = BLOCK_BYTES.get(logits.device.type, BLOCK_BYTES["cpu"])
    for block in slices(len(logits), max(1, limit // (4 * logits.shape[1]))):
        yield fn(logits[block], *cut(columns, block))
