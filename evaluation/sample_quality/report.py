"""Every number of the quality of texts, each with its error, beside that of held-out text."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from data.tokenizers import Tokenizer
from evaluation.bootstrap import Interval, jackknife, mean
from evaluation.gen_ppl.inputs import as_ids, passages, unreadable
from evaluation.gen_ppl.protocols import Protocol
from evaluation.gen_ppl.scorer import Judge, Passage, features, perplexity, text_nats
from evaluation.sample_quality import mauve
from evaluation.sample_quality.metrics import (
    distinct_n,
    distinct_without,
    entropies,
    repeated_shares,
)
from evaluation.sample_quality.ngram_divergence import distance
from evaluation.sample_quality.train_overlap import Copies

Rows = list[list[int]]
Masks = Sequence[list[bool]]
GRAMS = {"distinct_1": 1, "distinct_2": 2, "distinct_3": 3}
REPEATED = 4  # tokens that repetition needs


class Held(NamedTuple):
    """Held-out texts, and the n-grams of the training text where copies are looked for."""

    rows: Rows
    copies: Copies | None = None


class Texts(NamedTuple):
    """Texts, which of their tokens were given, and what the judge reads of them."""

    rows: Rows
    fixed: Masks
    read: list[Passage] | None

    def drawn(self) -> Rows:
        return drawn(self.rows, self.fixed)


def quality(
    rows: Rows,
    fixed: Masks,
    held: Held | None,
    judge: Judge | None,
    tokenizer: Tokenizer,
    protocol: Protocol,
    seed: int,
) -> dict[str, Any]:
    """Each number as `name`, `name`_stderr and `name`_ci (95 %), what cannot be had as
    `name`_absent with the reason; that of as many held-out texts of the same lengths as
    reference_`name`."""

    def texts(rows: Rows, fixed: Masks) -> Texts:
        read = None if judge is None else passages(rows, fixed, tokenizer, judge, protocol)
        return Texts(rows, fixed, read)

    own = texts(rows, fixed)
    found: dict[str, Any] = {"quality_protocol": asdict(protocol)}
    for name, one in numbers(own, judge, protocol, seed).items():
        found |= one.fields(name)
    if judge is not None and own.read is not None:
        found |= _judged(own.read, judge, tokenizer, protocol)
    if held is None:
        return found | {"divergence_absent": "there is no held-out text to compare with"}
    other = texts(*beside(held.rows, rows, fixed, seed))
    for name, one in numbers(other, judge, protocol, seed).items():
        found[f"reference_{name}"] = one.value
    found |= _distances(own, other, seed) | _mauve(own, other, judge, protocol, seed)
    if held.copies is not None:
        found |= mean(held.copies.shares(own.drawn()), seed).fields("train_overlap")
        found["train_overlap_n"] = held.copies.n
    return found


def drawn(rows: Rows, fixed: Masks) -> Rows:
    """The tokens that were not given."""
    return [
        [token for token, given in zip(row, known, strict=True) if not given]
        for row, known in zip(rows, fixed, strict=True)
    ]


def beside(reference: Rows, rows: Rows, fixed: Masks, seed: int) -> tuple[Rows, Masks]:
    """Held-out texts in random order, at most as many as `rows`, each with the length and the
    given positions of its partner; shorter where the held-out text is."""
    order = np.random.default_rng(seed).permutation(len(reference))[: len(rows)]
    others = [reference[i][: len(row)] for i, row in zip(order, rows, strict=False)]
    return others, [known[: len(one)] for one, known in zip(others, fixed, strict=False)]


def numbers(
    texts: Texts, judge: Judge | None, protocol: Protocol, seed: int
) -> dict[str, Interval]:
    """What is said of a set of texts alone."""
    tokens = texts.drawn()
    counted = tokens if protocol.entropy == "drawn tokens" else texts.rows
    found = {"entropy": mean(entropies(counted), seed)}
    for name, n in GRAMS.items():
        having = sum(len(row) >= n for row in tokens)
        if having:
            without = distinct_without(tokens, n) if having > 1 else np.empty(0)
            found[name] = jackknife(distinct_n(tokens, n), without)
    if max(map(len, tokens)) >= REPEATED:
        found["repetition"] = mean(repeated_shares(tokens), seed)
    if judge is not None and texts.read and unreadable(texts.read, judge, protocol) is None:
        found["gen_ppl"] = perplexity(text_nats(judge, texts.read), protocol.average, seed)
    return found


def _judged(
    read: list[Passage], judge: Judge, tokenizer: Tokenizer, protocol: Protocol
) -> dict[str, Any]:
    reason = unreadable(read, judge, protocol)
    if reason is not None:
        return {"gen_ppl_absent": reason}
    tokens = [int(one.scored.sum()) for one in read]
    return {
        "gen_ppl_tokens": sum(tokens),
        "gen_ppl_texts": sum(count > 0 for count in tokens),
        "gen_ppl_scorer": judge.evidence,
        "gen_ppl_read": "ids" if as_ids(judge, tokenizer, protocol) else "text",
    }


def _distances(own: Texts, other: Texts, seed: int) -> dict[str, Any]:
    found = distance(own.drawn(), other.drawn(), seed)
    if found is None:
        few = f"{len(own.rows)} texts and {len(other.rows)} held-out ones are too few"
        return {"divergence_absent": few}
    return found.divergence.fields("divergence") | found.two_sample_accuracy.fields(
        "two_sample_accuracy"
    )


def _mauve(
    own: Texts, other: Texts, judge: Judge | None, protocol: Protocol, seed: int
) -> dict[str, Any]:
    if judge is None or own.read is None or other.read is None:
        return {"mauve_absent": "no judge, whose last layer would be its features"}
    # A text of one token has no features: there is nothing before or behind it.
    read = [[one for one in side if len(one.ids) > 1] for side in (own.read, other.read)]
    reason = mauve.missing(min(map(len, read)))
    if reason is not None:
        return {"mauve_absent": reason}
    made, real = (features(judge, side, protocol.features) for side in read)
    place = "mean over all positions" if protocol.features == "mean" else "last position"
    return mauve.mauve(made, real, seed).fields("mauve") | {
        "mauve_features": f"last layer of {judge.evidence['scorer']}, {place}"
    }
