"""The soft input in its original form, over the whole vocabulary, some rows at a time."""

from typing import Any

import torch
from torch import Tensor

from integral import gaussians
from integral.gaussians import GROUP, Rows, Run

# float32 normals held at once: on a CPU few enough to stay near the caches, on a GPU enough to
# fill it
CHUNK_BYTES = {"cpu": 2**25, "cuda": 2**29}


def soft_embedding(
    x: Tensor,
    gamma: Tensor,
    tau: float,
    table: Tensor,
    vocab_size: int,
    seeds: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """z = argmax w (B, L) and softmax(w / tau) @ table[:N] (B, L, D), with gradients to the table.

    x (B, L), gamma (B,), table (N or more, D). Normals, weights and sums are float32 whatever
    autocast says; an example's normals come from a generator with its one of `seeds` (B,) int64,
    which torch's own draws where there are none."""
    if seeds is None:
        seeds = torch.randint(2**53, (len(x),), device=x.device)
    mu = torch.exp(-gamma.double() / 2)
    sharp = torch.sqrt(torch.sigmoid(gamma.double())) / tau  # w / tau = sharp (e + mu [token = x])
    columns = (column.float().unsqueeze(-1).expand(x.shape).flatten() for column in (mu, sharp))
    rows = Rows(x.flatten(), *columns)
    chunks = _chunks(seeds.tolist(), x, gaussians.padded(vocab_size))
    z, embedded = _SoftEmbedding.apply(table, x.shape, rows, vocab_size, chunks)
    return z, embedded


def _chunks(seeds: list[int], x: Tensor, width: int) -> list[list[Run]]:
    """A group that is drawn together, in rows of `width` normals."""
    device, length = x.device.type, x.shape[1]
    limit = max(1, CHUNK_BYTES.get(device, CHUNK_BYTES["cpu"]) // (4 * width))
    together = min(limit, GROUP // width + 1) if device == "cpu" else limit
    chunks: list[list[Run]] = []
    for run in gaussians.runs(seeds, length, together):
        if not chunks or run.stop - chunks[-1][0].start > limit:
            chunks.append([])
        chunks[-1].append(run)
    return chunks


def _buffer(chunks: list[list[Run]], width: int, device: torch.device) -> Tensor:
    """One for all chunks: a new one each time would be memory that the system has to clear."""
    most = max((chunk[-1].stop - chunk[0].start for chunk in chunks), default=0)
    with torch.inference_mode(False):  # threads write to it, and they do not inherit the mode
        return torch.empty(most, width, device=device)


class _SoftEmbedding(torch.autograd.Function):
    """Keeps a chunk's weights for the backward pass where they are few; where they are many, that
    pass draws the same normals again. Autocast lowers nothing here: it leaves products with out=
    and in place as they are."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        shape: tuple[int, int],
        rows: Rows,
        vocab_size: int,
        chunks: list[list[Run]],
    ) -> tuple[Tensor, Tensor]:
        ctx.rows, ctx.vocab_size, ctx.chunks, ctx.kept = rows, vocab_size, chunks, []
        ctx.table = (table.shape, table.dtype)
        # In their shape from the start: sharding warns of a module whose output is a view.
        tokens = rows.x.new_empty(shape)
        mixed = torch.zeros(*shape, table.shape[1], device=tokens.device)
        z, embedded = tokens.view(-1), mixed.view(-1, table.shape[1])
        buffer = _buffer(chunks, gaussians.padded(vocab_size), z.device)
        used = table[:vocab_size].float()
        for chunk in chunks:
            here = slice(chunk[0].start, chunk[-1].stop)
            part = rows.part(here)
            heights = buffer[: len(part.x)]
            gaussians.draw(heights, part, vocab_size, chunk)
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
        ctx.mark_non_differentiable(tokens)
        return tokens, mixed.to(table.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, _: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, vocab_size = ctx.rows, ctx.vocab_size
        shape, dtype = ctx.table
        d_table = torch.zeros(shape, device=gradient.device)
        used, gradients = d_table[:vocab_size], gradient.flatten(0, 1)
        buffer = _buffer(ctx.chunks, gaussians.padded(vocab_size), gradient.device)
        for chunk, few in zip(ctx.chunks, ctx.kept, strict=True):
            here = slice(chunk[0].start, chunk[-1].stop)
            d_rows = gradients[here].float()
            if few is None:
                part = rows.part(here)
                weights = _again(buffer[: len(part.x)], part, vocab_size, chunk)
                used.addmm_(weights.T, d_rows)
            else:
                used.index_add_(0, few.token, d_rows[few.row] * few.weight.unsqueeze(-1))
        return d_table.to(dtype), None, None, None, None


def _again(heights: Tensor, rows: Rows, vocab_size: int, chunk: list[Run]) -> Tensor:
    """The softmax weights (n, N) of a chunk of the forward pass, drawn once more."""
    gaussians.draw(heights, rows, vocab_size, chunk)
    _, tops = gaussians.argmax(heights, gaussians.block_of(vocab_size))
    return gaussians.softmax(heights, tops, rows.sharp, vocab_size)
