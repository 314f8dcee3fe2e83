"""Generative perplexity: the perplexity of finished texts under a scorer, an autoregressive
network."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluation.bootstrap import Interval, Values, bootstrap, mean, ratio

KEY = "eval.gen_ppl_eval_model_name_or_path"

Scored = NDArray[np.bool_]


@dataclass(frozen=True)
class Scorer:
    """A network with its tokens. `nats` gives ids (b, l) those of all but the first (b, l - 1),
    `hidden` the last layer's states at the ids (b, l, D)."""

    network: nn.Module
    nats: Callable[[Tensor], Tensor]
    hidden: Callable[[Tensor], Tensor]
    # Ids of a text; with its own special tokens around it as it adds them, where asked.
    encode: Callable[[str, bool], list[int]]
    window: int  # ids that it reads at once
    texts_at_once: Callable[[int], int]  # of that many ids each
    bos: int | None
    eos: int
    pads_left: bool
    digest: str | None  # of the tokenizer, where ids can be handed over as they are
    provenance: dict[str, Any]  # of a record


class Passage(NamedTuple):
    """The ids of one text as the scorer reads them, and which of them count (never the first)."""

    ids: list[int]
    scored: Scored


class Piece(NamedTuple):
    """A window of passage number `owner`, and which of its ids are scored here."""

    owner: int
    ids: list[int]
    scored: Scored


@torch.no_grad()
def text_nats(scorer: Scorer, passages: Sequence[Passage]) -> Values:
    """Sum of nats and number of scored tokens of each passage (S, 2).

    Passages longer than the scorer's window are read in windows that begin half a window apart, so
    that every token has half a window before it or the whole text. Only equal lengths are read
    together: nothing is padded, and the numbers do not depend on how many."""
    totals = np.zeros((len(passages), 2))
    for batch in _batches(scorer, list(_pieces(passages, scorer.window))):
        ids = torch.tensor([piece.ids for piece in batch])
        nats = scorer.nats(ids).double().cpu().numpy()  # (b, l - 1)
        for piece, row in zip(batch, nats, strict=True):
            scored = piece.scored[1:]
            totals[piece.owner] += row[scored].sum(), scored.sum()
    return totals


@torch.no_grad()
def features(scorer: Scorer, passages: Sequence[Passage], pooling: str) -> NDArray[np.float32]:
    """The scorer's last layer (S, D) at the last position of each passage, or its mean over all;
    of its first window where it is longer."""
    cut = [Passage(ids[: scorer.window], scored[: scorer.window]) for ids, scored in passages]
    rows: dict[int, NDArray[np.float32]] = {}
    for batch in _batches(scorer, list(_pieces(cut, scorer.window))):
        states = scorer.hidden(torch.tensor([piece.ids for piece in batch])).float()  # (b, l, D)
        pooled = (states[:, -1] if pooling == "last" else states.mean(1)).cpu().numpy()
        rows |= {piece.owner: row for piece, row in zip(batch, pooled, strict=True)}
    return np.stack([rows[number] for number in range(len(passages))])


def perplexity(totals: Values, average: str, seed: int) -> Interval:
    """Of the nats and tokens of texts (S, 2): exp of their ratio over all tokens ("tokens"), or the
    mean over texts of exp of each one's own ("texts"). Texts without a scored token are left out;
    ValueError where that leaves none."""
    totals = totals[totals[:, 1] > 0]
    if not len(totals):
        raise ValueError("generative perplexity: no text has a token that is scored")
    if average == "tokens":
        return bootstrap(totals, lambda sums: np.exp(ratio(sums)), seed)
    return mean(np.exp(totals[:, 0] / totals[:, 1]), seed)


def _pieces(passages: Sequence[Passage], window: int) -> Iterator[Piece]:
    for owner, (ids, scored) in enumerate(passages):
        done, start = 0, 0
        while done < len(ids):
            end = min(start + window, len(ids))
            new = scored[start:end].copy()
            new[: done - start] = False
            if new[1:].any() or start == 0:
                yield Piece(owner, ids[start:end], new)
            done, start = end, end - window // 2


def _batches(scorer: Scorer, pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces of one length, as many at a time as the scorer takes; none of a single id, which has
    no nats."""
    groups: dict[int, list[Piece]] = defaultdict(list)
    for piece in pieces:
        groups[len(piece.ids)].append(piece)
    for length, group in sorted(groups.items()):
        if length < 2:
            continue
        size = scorer.texts_at_once(length)
        yield from (group[start : start + size] for start in range(0, len(group), size))
