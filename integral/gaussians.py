"""All N Gaussians of some positions at once: their draw, their argmax, and their softmax, of which
only few terms matter at a low temperature."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 256
GROUP = 2**18  # normals of one generator on a CPU: they stay in the cache, and threads share them
# Terms below exp(-CUTOFF) / N of the largest: their sum is less than a rounding in float32.
CUTOFF = 17.0


class Rows(NamedTuple):
    """The parameters of a draw: tokens x (n,), and mu and s / tau (n,) float32."""

    x: Tensor
    mu: Tensor
    sharp: Tensor

    def part(self, here: slice) -> "Rows":
        return Rows(*(column[here] for column in self))


class Run(NamedTuple):
    """Rows start to stop, whose normals come from a generator with this seed."""

    start: int
    stop: int
    seed: int


class Peaks(NamedTuple):
    """Softmax weights (m,) that are not zero, with their rows and tokens."""

    row: Tensor
    token: Tensor
    weight: Tensor


def block_of(vocab_size: int) -> int:
    return min(BLOCK, vocab_size)


def padded(vocab_size: int) -> int:
    """Columns of a row of heights: whole blocks."""
    return -(-vocab_size // block_of(vocab_size)) * block_of(vocab_size)


def runs(seeds: Sequence[int], length: int, rows: int) -> list[Run]:
    """The rows (B * L) of B examples with these `seeds`, at most `rows` of one example together: a
    row's normals depend on its example and its position alone."""
    return [
        Run(example * length + start, example * length + min(start + rows, length), seed + start)
        for example, seed in enumerate(seeds)
        for start in range(0, length, rows)
    ]


def draw(heights: Tensor, rows: Rows, vocab_size: int, parts: Sequence[Run]) -> None:
    """Fills heights (n, padded N) float32 with e + mu [token = x], and -inf behind the vocabulary.
    `parts` lie one behind another; the number of threads plays no part."""
    first = parts[0].start

    def fill(part: Run) -> None:
        generator = torch.Generator(heights.device).manual_seed(part.seed)
        heights[part.start - first : part.stop - first].normal_(generator=generator)

    if heights.device.type != "cpu":  # other threads would not be on this one's stream
        for part in parts:
            fill(part)
    else:
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            list(threads.map(fill, parts))
    heights[:, vocab_size:] = -math.inf
    heights[torch.arange(len(heights), device=heights.device), rows.x] += rows.mu


def argmax(heights: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The token (n,) of the largest height, and the largest of every block (n, N / block)."""
    blocks = heights.view(len(heights), -1, block)
    tops = blocks.amax(-1)
    best = tops.argmax(-1)
    inside = blocks[torch.arange(len(heights), device=heights.device), best].argmax(-1)
    return best * block + inside, tops


def peaks(
    heights: Tensor, tops: Tensor, sharp: Tensor, vocab_size: int, limit: int
) -> Peaks | None:
    """The terms of softmax(sharp * heights) that matter, found without a second pass over the
    heights; None where there are more than `limit`."""
    top = tops.amax(-1)
    floor = top - (CUTOFF + math.log(vocab_size)) / sharp
    row, which = (tops >= floor.unsqueeze(-1)).nonzero(as_tuple=True)
    block = heights.shape[1] // tops.shape[1]
    if len(row) > limit or len(row) * block > heights.numel() / 4:
        return None
    values = heights.view(*tops.shape, block)[row, which]  # (candidates, block)
    candidate, inside = (values >= floor[row].unsqueeze(-1)).nonzero(as_tuple=True)
    if len(candidate) > limit:
        return None
    row, token = row[candidate], which[candidate] * block + inside
    weight = (sharp[row] * (values[candidate, inside] - top[row])).exp()
    total = torch.zeros_like(top).index_add_(0, row, weight)
    return Peaks(row, token, weight / total[row])


def softmax(heights: Tensor, tops: Tensor, sharp: Tensor, vocab_size: int) -> Tensor:
    """softmax(sharp * heights) (n, N), in the place of the heights."""
    heights -= tops.amax(-1, keepdim=True)
    weights = heights.mul_(sharp.unsqueeze(-1)).exp_()
    return weights.div_(weights.sum(-1, keepdim=True))[:, :vocab_size]
