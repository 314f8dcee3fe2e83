"""Sampling of block models: texts of any length, one block after another, each by a sampler of the
suite."""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.prediction import Prediction
from diffusion.process import Process


class Reader(Protocol):
    """A denoiser of the next block that is told of the finished ones."""

    positions: int  # that the network has read, of all texts
    evaluations: int  # texts that it has read to finish blocks

    def __call__(self, z: Tensor, t: Tensor, rows: Tensor | None = None) -> Prediction: ...

    def finish(self, tokens: Tensor) -> None:
        """Tokens (B, n) stand behind the finished blocks."""

    def keep(self, rows: Tensor) -> None:
        """Only these texts (b,) of the batch go on."""


@torch.no_grad()
def block_by_block(
    open_reader: Callable[[bool], Reader],
    process: Process,
    tokens: Tensor,
    fixed: Tensor,
    loop: Callable[..., Tensor],
    block_size: int,
    cached: bool = True,
    end: int | None = None,
    told: Callable[[Reader], None] = lambda reader: None,
) -> Tensor:
    """Texts (B, L) of any length that keep `tokens` (B, L) where `fixed` (B, L); `loop` draws each
    block from pure noise, in view of what is fixed in it and of the blocks before it.

    The first blocks, where all of them are fixed in every text, are read and not drawn. With `end`
    a text is over at the first such token that is drawn, and has nothing else behind it. The last
    block is drawn whole and cut. `told` hears of the reader when the texts are done."""
    count, length = tokens.shape
    short = -length % block_size
    texts = F.pad(tokens, (0, short))
    fixed = F.pad(fixed, (0, short), value=False)
    reader, rows = open_reader(cached), torch.arange(count, device=tokens.device)
    given = fixed.unflatten(1, (-1, block_size)).all(-1).all(0)
    begin = block_size * int(given.long().cumprod(0).sum())
    if 0 < begin < length:
        reader.finish(texts[:, :begin])
    for start in range(begin, length, block_size):
        block = slice(start, start + block_size)
        known, where = texts[rows, block], fixed[rows, block]
        z = process.prior((len(rows), block_size), device=tokens.device)
        drawn = loop(reader, process, z, clamp=lambda z, k=known, w=where: torch.where(w, k, z))
        texts[rows, block] = drawn
        if end is not None:
            over = (drawn == end) & ~where
            texts[rows] = _ended(texts[rows], fixed[rows], over, start, end)
            going = (~over.any(-1)).nonzero().squeeze(-1)
            if len(going) < len(rows):
                rows, drawn = rows[going], drawn[going]
                reader.keep(going)
        if block.stop >= length or len(rows) == 0:
            break
        reader.finish(drawn)
    told(reader)
    return texts[:, :length]


def _ended(texts: Tensor, fixed: Tensor, over: Tensor, start: int, end: int) -> Tensor:
    """Texts (b, L) with nothing but `end`, and what is fixed, behind the first position of the
    block at `start` at which they are `over` (b, n)."""
    later = torch.zeros_like(fixed)
    later[:, start : start + over.shape[1]] = over
    return torch.where((later.long().cumsum(-1) > 0) & ~fixed, end, texts)


def cut(row: list[int], fixed: list[bool], end: int | None) -> list[int]:
    """A text up to the first `end` in it that was drawn, None for nothing that ends it."""
    places = (n for n, token in enumerate(row) if token == end and not fixed[n])
    return row[: next(places, len(row)) + 1]
