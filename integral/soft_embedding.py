"""The soft input in its original form, over the whole vocabulary, some rows at a time."""

from typing import Any

import torch
from torch import Tensor

from integral import gaussians
from integral.gaussians import Rows

# float32 normals held at once: on a CPU few enough to stay near the caches, on a GPU enough to
# fill it
CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}


def soft_embedding(
    x: Tensor, gamma: Tensor, tau: float, table: Tensor, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """z = argmax w (B, L) and softmax(w / tau) @ table[:N] (B, L, D), with gradients to the table.

    x (B, L), gamma (B,), table (N or more, D). Normals, weights and sums are float32 whatever
    autocast says; the normals come from a generator that torch's own on x's device seeds."""
    seed = int(torch.randint(2**62, (), device=x.device))
    mu = torch.exp(-gamma.double() / 2)
    sharp = torch.sqrt(torch.sigmoid(gamma.double())) / tau  # w / tau = sharp (e + mu [token = x])
    columns = (column.float().unsqueeze(-1).expand(x.shape).flatten() for column in (mu, sharp))
    rows = Rows(x.flatten(), *columns)
    z, embedded = _SoftEmbedding.apply(table, rows, vocab_size, seed)
    return z.view(x.shape), embedded.view(*x.shape, -1)


def _chunk_rows(rows: Rows, vocab_size: int) -> int:
    size = CHUNK_BYTES.get(rows.x.device.type, CHUNK_BYTES["cpu"])
    return min(len(rows.x), max(1, size // (4 * gaussians.padded(vocab_size))))


def _buffer(rows: Rows, vocab_size: int) -> Tensor:
    """One for all chunks: a new one each time would be memory that the system has to clear."""
    shape = (_chunk_rows(rows, vocab_size), gaussians.padded(vocab_size))
    with torch.inference_mode(False):  # threads write to it, and they do not inherit the mode
        return torch.empty(shape, device=rows.x.device)


class _SoftEmbedding(torch.autograd.Function):
    """Keeps a chunk's weights for the backward pass where they are few; where they are many, that
    pass draws the same normals again. Autocast lowers nothing here: it leaves products with out=
    and in place as they are."""

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, rows: Rows, vocab_size: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        ctx.rows, ctx.vocab_size, ctx.seed, ctx.kept = rows, vocab_size, seed, []
        ctx.table = (table.shape, table.dtype)
        z = torch.empty_like(rows.x)
        embedded = torch.zeros(len(z), table.shape[1], device=z.device)
        buffer = _buffer(rows, vocab_size)
        used = table[:vocab_size].float()
        for start in range(0, len(z), max(1, len(buffer))):
            part = rows.part(start, len(buffer))
            heights, here = buffer[: len(part.x)], slice(start, start + len(buffer))
            gaussians.draw(heights, part, vocab_size, seed + start)
            z[here], tops = gaussians.argmax(heights, gaussians.block_of(vocab_size))
            limit = heights.numel() // used.shape[1]  # no more rows of the table than heights
            few = gaussians.peaks(heights, tops, part.sharp, vocab_size, limit)
            ctx.kept.append(few)
            if few is None:
                weights = gaussians.softmax(heights, tops, part.sharp, vocab_size)
                torch.mm(weights, used, out=embedded[here])
            else:
                terms = used[few.token] * few.weight.unsqueeze(-1)
                embedded[here].index_add_(0, few.row, terms)
        ctx.mark_non_differentiable(z)
        return z, embedded.to(table.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, _: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, vocab_size = ctx.rows, ctx.vocab_size
        shape, dtype = ctx.table
        d_table = torch.zeros(shape, device=gradient.device)
        used = d_table[:vocab_size]
        buffer = _buffer(rows, vocab_size)
        for chunk, few in enumerate(ctx.kept):
            start = chunk * len(buffer)
            d_rows = gradient[start : start + len(buffer)].float()
            if few is None:
                part = rows.part(start, len(buffer))
                weights = _again(buffer[: len(part.x)], part, vocab_size, ctx.seed + start)
                used.addmm_(weights.T, d_rows)
            else:
                used.index_add_(0, few.token, d_rows[few.row] * few.weight.unsqueeze(-1))
        return d_table.to(dtype), None, None, None


def _again(heights: Tensor, rows: Rows, vocab_size: int, seed: int) -> Tensor:
    """The softmax weights (n, N) of a chunk of the forward pass, drawn once more."""
    gaussians.draw(heights, rows, vocab_size, seed)
    _, tops = gaussians.argmax(heights, gaussians.block_of(vocab_size))
    return gaussians.softmax(heights, tops, rows.sharp, vocab_size)
