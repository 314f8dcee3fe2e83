"""Every number of the quality of texts, each with its error, beside that of held-out text."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from data.tokenizers import Tokenizer
from evaluation.bootstrap import Interval, jackknife, mean
from evaluation.gen_ppl.inputs import as_ids, passages, unreadable
from evaluation.gen_ppl.protocols import Protocol
from evaluation.gen_ppl.scorer import Passage, Scorer, features, perplexity, text_nats
from evaluation.sample_quality import mauve
from evaluation.sample_quality.metrics import (
    REPEATED_GRAM,
    distinct_n,
    distinct_without,
    entropies,
    repeated_shares,
)
from evaluation.sample_quality.ngram_divergence import distance
from evaluation.sample_quality.train_overlap import TrainOverlap

Rows = list[list[int]]
Masks = Sequence[list[bool]]
GRAMS = {"distinct_1": 1, "distinct_2": 2, "distinct_3": 3}


class Reference(NamedTuple):
    """Held-out texts, and the n-grams of the training text where overlap with it is measured."""

    rows: Rows
    training: TrainOverlap | None = None


class Texts(NamedTuple):
    """Texts, which of their tokens were given, and the same as the scorer reads them."""

    rows: Rows
    fixed: Masks
    passages: list[Passage] | None

    def drawn(self) -> Rows:
        return drawn(self.rows, self.fixed)


def quality(
    rows: Rows,
    fixed: Masks,
    held_out: Reference | None,
    scorer: Scorer | None,
    tokenizer: Tokenizer,
    protocol: Protocol,
    seed: int,
) -> dict[str, Any]:
    """Each number as `name`, `name`_stderr and `name`_ci (95 %), what cannot be had as
    `name`_absent with the reason; that of as many held-out texts of the same lengths as
    reference_`name`."""

    def texts(rows: Rows, fixed: Masks) -> Texts:
        read = None if scorer is None else passages(rows, fixed, tokenizer, scorer, protocol)
        return Texts(rows, fixed, read)

    samples = texts(rows, fixed)
    metrics: dict[str, Any] = {"quality_protocol": asdict(protocol)}
    for name, interval in _intervals(samples, scorer, protocol, seed).items():
        metrics |= interval.fields(name)
    if scorer is not None and samples.passages is not None:
        metrics |= _gen_ppl_facts(samples.passages, scorer, tokenizer, protocol)
    if held_out is None:
        return metrics | {"divergence_absent": "there is no held-out text to compare with"}
    reference = texts(*beside(held_out.rows, rows, fixed, seed))
    for name, interval in _intervals(reference, scorer, protocol, seed).items():
        metrics[f"reference_{name}"] = interval.value
    metrics |= _distances(samples, reference, seed)
    metrics |= _mauve(samples, reference, scorer, protocol, seed)
    if held_out.training is not None:
        shares = held_out.training.shares(samples.drawn())
        metrics |= mean(shares, seed).fields("train_overlap")
        metrics["train_overlap_n"] = held_out.training.n
    return metrics


def drawn(rows: Rows, fixed: Masks) -> Rows:
    """The tokens that were not given."""
    return [
        [token for token, is_given in zip(row, mask, strict=True) if not is_given]
        for row, mask in zip(rows, fixed, strict=True)
    ]


def beside(reference: Rows, rows: Rows, fixed: Masks, seed: int) -> tuple[Rows, Masks]:
    """Held-out texts in random order, at most as many as `rows`, each with the length and the
    given positions of its partner; shorter where the held-out text is."""
    order = np.random.default_rng(seed).permutation(len(reference))[: len(rows)]
    partners = [reference[i][: len(row)] for i, row in zip(order, rows, strict=False)]
    return partners, [mask[: len(row)] for row, mask in zip(partners, fixed, strict=False)]


def _intervals(
    texts: Texts, scorer: Scorer | None, protocol: Protocol, seed: int
) -> dict[str, Interval]:
    """The numbers of one set of texts by name; without those that it has nothing for."""
    tokens = texts.drawn()
    counted = tokens if protocol.entropy == "drawn tokens" else texts.rows
    intervals = {"entropy": mean(entropies(counted), seed)}
    longest = max(map(len, tokens))
    for name, n in GRAMS.items():
        if longest >= n:
            several = sum(len(row) >= n for row in tokens) > 1
            without = distinct_without(tokens, n) if several else np.empty(0)
            intervals[name] = jackknife(distinct_n(tokens, n), without)
    if longest >= REPEATED_GRAM:
        intervals["repetition"] = mean(repeated_shares(tokens), seed)
    if scorer is not None and texts.passages and not unreadable(texts.passages, scorer, protocol):
        totals = text_nats(scorer, texts.passages)
        intervals["gen_ppl"] = perplexity(totals, protocol.average, seed)
    return intervals


def _gen_ppl_facts(
    texts: list[Passage], scorer: Scorer, tokenizer: Tokenizer, protocol: Protocol
) -> dict[str, Any]:
    reason = unreadable(texts, scorer, protocol)
    if reason is not None:
        return {"gen_ppl_absent": reason}
    tokens = [int(text.scored.sum()) for text in texts]
    return {
        "gen_ppl_tokens": sum(tokens),
        "gen_ppl_texts": sum(count > 0 for count in tokens),
        "gen_ppl_scorer": scorer.provenance,
        "gen_ppl_read": "ids" if as_ids(scorer, tokenizer, protocol) else "text",
    }


def _distances(samples: Texts, reference: Texts, seed: int) -> dict[str, Any]:
    distances = distance(samples.drawn(), reference.drawn(), seed)
    if distances is None:
        few = f"{len(samples.rows)} texts and {len(reference.rows)} held-out ones are too few"
        return {"divergence_absent": few}
    fields = distances.divergence.fields("divergence")
    return fields | distances.two_sample_accuracy.fields("two_sample_accuracy")


def _mauve(
    samples: Texts, reference: Texts, scorer: Scorer | None, protocol: Protocol, seed: int
) -> dict[str, Any]:
    if scorer is None or samples.passages is None or reference.passages is None:
        return {
            "mauve_absent": "no scorer to take features from (eval.gen_ppl_eval_model_name_or_path)"
        }
    # A text of one token has no features: there is nothing before or behind it.
    sides = [
        [text for text in texts if len(text.ids) > 1]
        for texts in (samples.passages, reference.passages)
    ]
    reason = mauve.missing(min(map(len, sides)))
    if reason is not None:
        return {"mauve_absent": reason}
    generated, real = (features(scorer, side, protocol.features) for side in sides)
    pooling = "mean over all positions" if protocol.features == "mean" else "last position"
    return mauve.mauve(generated, real, seed).fields("mauve") | {
        "mauve_features": f"last layer of {scorer.provenance['scorer']}, {pooling}"
    }
