"""From per-token nats to a perplexity whose uncertainty is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

# Index, nats and scored tokens of every sequence of a text, (S,) each, in order of the index.
Pass = tuple[Tensor, Tensor, Tensor]
Source = Literal["passes", "sequences", "exact"]


def sequence_rows(index: Tensor, nats: Tensor, scored: Tensor) -> Tensor:
    """(B, 3) float64, which holds integers exactly up to 2^53: `index` (B,), the sum of `nats`
    (B, L) where `scored` (B, L), how many those are. ValueError when the shapes do not belong
    together."""
    if nats.ndim != 2 or scored.shape != nats.shape or index.shape != nats.shape[:1]:
        shapes = f"index {tuple(index.shape)}, nats {tuple(nats.shape)}"
        raise ValueError(
            f"{shapes}, scored {tuple(scored.shape)}: (B,), (B, L) and (B, L) are required"
        )
    total = _tree_sum(torch.where(scored, nats.double(), 0.0))
    index = index.to(nats.device, non_blocking=True)
    return torch.stack([index.double(), total, scored.sum(1).double()], dim=1)


def in_order(rows: Tensor) -> Pass:
    """The pass of rows (S, 3) of `sequence_rows`; ValueError for none, or the same sequence
    twice."""
    if not len(rows):
        raise ValueError("no sequence was scored: the evaluation data is empty")
    rows = rows[rows[:, 0].argsort()]
    index = rows[:, 0].long()
    twice = index[1:] == index[:-1]
    if twice.any():
        first = int(index[1:][twice][0])
        raise ValueError(f"sequence {first} was scored twice in one pass: use disjoint shards")
    return index, rows[:, 1], rows[:, 2].long()


def _tree_sum(values: Tensor) -> Tensor:
    """Row sums of (B, L) by halving. Elementwise additions alone, so that the order and the last
    bit are the same for any batch size and device; a library reduction chooses its order by the
    shape."""
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        paired = values[:, :half] + values[:, half : 2 * half]
        values = torch.cat([paired, values[:, 2 * half :]], dim=1)
    return values.sum(1)


@dataclass(frozen=True)
class Likelihood:
    """Nats per scored token and the perplexity exp(nats), with one standard error each. `stderr` is
    the error of the number itself on this text (random noise levels and noise); `data_stderr` that
    of the same number as a statement about new text, None for one sequence."""

    nats_per_token: float
    stderr: float
    stderr_from: Source
    data_stderr: float | None
    perplexity: float
    perplexity_stderr: float
    tokens: int
    sequences: int
    passes: int


def summarise(
    passes: Sequence[Pass], *, exact: bool = False, batch: int | None = None
) -> Likelihood:
    """Mean over `passes` per scored token; `exact` is not a bound.

    With `batch` the mean of the token means of so many sequences in a row, weighted by how many
    they are (the last may be fewer), as some published numbers are.

    With P >= 2 passes, stderr = sqrt(sum_i var_i / P) / tokens, var_i the sample variance of
    sequence i between passes: S (P - 1) degrees of freedom, and conservative where times are
    stratified, since that makes the sequences' errors cancel. With one pass, stderr is the
    ratio estimator's over sequences, which contains the spread of the data too and so is an
    over-estimate. perplexity_stderr = perplexity * stderr (delta method).
    Raises ValueError for passes that disagree, no scored token, nats that are not finite, and
    one pass of a bound over one sequence, which leaves nothing to estimate an error from."""
    nats, count = _aligned(passes)
    runs, sequences = nats.shape
    tokens = int(count.sum())
    if tokens == 0:
        raise ValueError(f"none of the tokens of {sequences} sequences is scored")
    share = _shares(count, batch)
    mean = nats.mean(0)
    nats_per_token = math.fsum((mean * share).tolist()) / tokens
    residual = (mean - nats_per_token * count) * share
    data_stderr = stderr_over_sequences(residual, tokens, batch or 1)
    stderr, source = _stderr(nats * share, tokens, data_stderr, exact)
    if nats_per_token > 700:  # no trained model comes near the largest float
        raise ValueError(f"{nats_per_token:.6g} nats per token: the model has diverged")
    perplexity = math.exp(nats_per_token)
    return Likelihood(
        nats_per_token=nats_per_token,
        stderr=stderr,
        stderr_from=source,
        data_stderr=data_stderr,
        perplexity=perplexity,
        perplexity_stderr=perplexity * stderr,
        tokens=tokens,
        sequences=sequences,
        passes=runs,
    )


def bits_per_byte(nats_per_token: float, bytes_per_token: float) -> float:
    """nats / (ln 2 * bytes), both per scored token."""
    return nats_per_token / (math.log(2) * bytes_per_token)


def _aligned(passes: Sequence[Pass]) -> tuple[Tensor, Tensor]:
    """Nats (P, S) and the common count (S,)."""
    index, _, count = passes[0]
    for number, (other_index, other_nats, other_count) in enumerate(passes, start=1):
        if not (torch.equal(index, other_index) and torch.equal(count, other_count)):
            raise ValueError(f"pass {number} scored other sequences or tokens than pass 1")
        bad = index[~other_nats.isfinite()]
        if len(bad):
            raise ValueError(f"pass {number}: the nats of sequence {int(bad[0])} are not finite")
    return torch.stack([nats for _, nats, _ in passes]), count


def _stderr(
    nats: Tensor, tokens: int, data_stderr: float | None, exact: bool
) -> tuple[float, Source]:
    """Standard error of the mean over passes (P, S) and what it was estimated from."""
    if exact:
        return 0.0, "exact"
    runs = len(nats)
    if runs > 1:
        return math.sqrt(math.fsum(nats.var(0).tolist()) / runs) / tokens, "passes"
    if data_stderr is None:
        raise ValueError(
            "eval.passes=1: one pass over one sequence or one eval.batch_mean has no error, 2 or "
            "more passes do"
        )
    return data_stderr, "sequences"


def _shares(count: Tensor, batch: int | None) -> Tensor:
    """(S,) how much more a nat counts than in the mean over tokens: 1, or by the tokens of the
    `batch` sequences around it. ValueError for a batch without a scored token."""
    if batch is None:
        return torch.ones_like(count, dtype=torch.float64)
    parts = count.split(batch)
    if not all(part.any() for part in parts):
        raise ValueError(f"eval.batch_mean={batch}: a batch has no scored token")
    tokens, sequences = int(count.sum()), len(count)
    each = [tokens / sequences * len(part) / int(part.sum()) for part in parts]
    return torch.tensor(each, dtype=torch.float64).repeat_interleave(batch)[:sequences]


def stderr_over_sequences(residual: Tensor, tokens: int, batch: int = 1) -> float | None:
    """Standard error of a mean per token as a statement about new text, from what each sequence
    (S,) has beyond it, nats - mean * scored tokens, and the scored tokens of all: sequences, or
    every `batch` of them, are drawn at random. None for one."""
    parts = [math.fsum(part.tolist()) for part in residual.split(batch)]
    if len(parts) < 2:
        return None
    square = math.fsum(part * part for part in parts) * len(parts) / (len(parts) - 1)
    return math.sqrt(square) / tokens
