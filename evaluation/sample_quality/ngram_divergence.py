"""Divergence of generated from held-out text as n-gram models see it: no download needed.

Both sets get a model of up to ORDER tokens,

    p(w | h) = (c(hw) + b s(hw) + a p(w | h')) / (c(h) + b s(h) + a),      h' one token shorter:

c counts the other texts of the set, s the text itself up to there (which real text repeats and a
chain does not), a and b are fitted for each set. Pairs (P_i, Q_i) of a generated and a held-out
text are scored by both models without the pair,

    score_i = (log p_P(P_i) - log p_Q(P_i) + log p_Q(Q_i) - log p_P(Q_i)) / tokens of both.

Where the sets have one distribution, exchanging them changes its sign and nothing else, so its mean
is exactly 0 for any number of texts and any quality of the models; else it estimates, from below,
half the symmetric (Jeffreys) divergence that they see, in nats per token."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.bootstrap import SURE, Interval, bootstrap, ratio, wilson
from evaluation.ngrams import Ids, joined

ORDER = 6
PRIORS = (0.25, 1.0, 4.0, 16.0, 64.0)  # a, for each order
OWN = (0.0, 1.0, 4.0, 16.0)  # b
FITTED_ON = 20_000  # tokens of a set
LEAST = 4  # pairs

Floats = NDArray[np.float64]


class Distance(NamedTuple):
    """Nats per token, and the share of pairs (one generated, one held-out text) that the models
    assign rightly: 0 and 1/2 for equal distributions."""

    divergence: Interval
    two_sample_accuracy: Interval


class Counts(NamedTuple):
    """For each token (T,), of one order: how often its n-gram and its context are in the generated
    and in the held-out texts of the other pairs (2, T), and earlier in its own text."""

    gram: Floats
    context: Floats
    own_gram: Floats
    own_context: Floats


class Tokens(NamedTuple):
    """All texts in one row (T,): ids from 0 up, text, pair, position in the text, which set."""

    ids: Ids
    text: Ids
    pair: Ids
    position: Ids
    held_out: NDArray[np.bool_]


def distance(
    generated: Sequence[Sequence[int]], reference: Sequence[Sequence[int]], seed: int
) -> Distance | None:
    """Between as many generated and held-out texts as there are of both, each pair cut to the
    shorter one. None with fewer than 4 pairs that have a token."""
    pairs = [(list(a), list(b)) for a, b in zip(generated, reference, strict=False) if a and b]
    if len(pairs) < LEAST:
        return None
    tokens = _tokens([(a[: len(b)], b[: len(a)]) for a, b in pairs])
    orders = [_counts(tokens, order) for order in range(1, ORDER + 1)]
    size = int(tokens.ids.max()) + 2  # and one for a token that neither has
    # Each half of the pairs is scored with what was fitted on the other: fitting favours nobody.
    score = np.zeros(len(tokens.ids))
    for half in (0, 1):
        fitting, scored = tokens.pair % 2 != half, tokens.pair % 2 == half
        logs = []
        for side in (0, 1):
            at = np.flatnonzero(fitting & (tokens.held_out == side))[:FITTED_ON]
            weights = _fitted(orders, at, side, size)
            logs.append(_log_p(orders, np.flatnonzero(scored), side, size, *weights))
        sign = np.where(tokens.held_out[scored], 1.0, -1.0)
        score[scored] = sign * (logs[1] - logs[0])
    count = len(pairs)
    totals = np.bincount(tokens.pair, weights=score, minlength=count).astype(np.float64)
    lengths = np.bincount(tokens.pair, minlength=count).astype(np.float64)
    right = np.where(np.abs(totals) > 1e-9, totals > 0, 0.5)  # equal texts: a coin
    return Distance(_divergence(totals, lengths, seed), wilson(float(right.mean()), count / 2))


def _divergence(totals: Floats, lengths: Floats, seed: int) -> Interval:
    """The mean score per token of pairs with these sums of scores and tokens (S,).

    A pair counts twice, by its score and in the models that score the others. The variance is twice
    that of independent scores for equal distributions, a symmetric sum over pairs of pairs. For
    different ones a pair moves the models as it moves its score, and it is at most four times."""
    centre = totals.sum() / lengths.sum() * lengths
    for factor in (np.sqrt(2), 2.0):
        wide = centre + factor * (totals - centre)
        found = bootstrap(np.stack([wide, lengths], 1), ratio, seed)
        if found.value <= SURE * (found.stderr or 0.0):
            break
    return found


def _tokens(pairs: Sequence[tuple[list[int], list[int]]]) -> Tokens:
    texts = [text for pair in pairs for text in pair]
    lengths = np.array([len(text) for text in texts])
    text = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    ids = np.unique(np.concatenate(texts), return_inverse=True)[1]
    return Tokens(ids, text, text // 2, position, text % 2 == 1)


def _counts(tokens: Tokens, order: int) -> Counts:
    """Counts of the n-grams that end at each token; 0 where its text has not begun n tokens ago."""
    whole = tokens.position >= order - 1
    context = np.zeros(len(tokens.ids), dtype=np.int64)
    for back in range(order - 1, 0, -1):
        context = joined(context, np.roll(tokens.ids, back))
    in_sets, in_text = _occurrences(tokens, joined(context, tokens.ids), whole)
    context_in_sets, context_in_text = _occurrences(tokens, context, whole)
    return Counts(in_sets, context_in_sets, in_text, context_in_text)


def _occurrences(tokens: Tokens, key: Ids, whole: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each token: how often its key is in either set, without the pair of the token (2, T);
    and how often before it in its own text (T,)."""
    at = np.flatnonzero(whole)
    in_pair = joined(tokens.pair[at], key[at])
    sets = np.zeros((2, len(key)))
    for side in (0, 1):
        in_set = (tokens.held_out[at] == side).astype(np.float64)
        everywhere = np.bincount(key[at], weights=in_set)[key[at]]
        sets[side, at] = everywhere - np.bincount(in_pair, weights=in_set)[in_pair]
    in_text = joined(tokens.text[at], key[at])
    order = np.argsort(in_text, kind="stable")
    first = np.flatnonzero(np.diff(in_text[order], prepend=-1))
    run = np.arange(len(at)) - np.repeat(first, np.diff(first, append=len(at)))
    earlier = np.zeros(len(key))
    earlier[at[order]] = run
    return sets, earlier


def _log_p(
    orders: Sequence[Counts], at: Ids, side: int, size: int, priors: Sequence[float], own: float
) -> Floats:
    """log p of the tokens `at` by the model of one set, of as many orders as there are priors."""
    p = np.full(len(at), 1 / size)
    for counts, prior in zip(orders, priors, strict=False):
        p = _step(counts, at, side, prior, own, p)
    return np.log(p)


def _step(counts: Counts, at: Ids, side: int, prior: float, own: float, shorter: Floats) -> Floats:
    gram = counts.gram[side, at] + own * counts.own_gram[at]
    context = counts.context[side, at] + own * counts.own_context[at]
    return (gram + prior * shorter) / (context + prior)


def _fitted(
    orders: Sequence[Counts], at: Ids, side: int, size: int
) -> tuple[tuple[float, ...], float]:
    """The priors, one order after another, and the weight of the text itself that make the tokens
    `at` of the set likeliest."""
    best, weights = -np.inf, ((1.0,) * len(orders), 1.0)
    for own in OWN:
        p, priors = np.full(len(at), 1 / size), []
        for counts in orders:
            by_prior = [_step(counts, at, side, prior, own, p) for prior in PRIORS]
            likeliest = int(np.argmax([np.log(each).sum() for each in by_prior]))
            p = by_prior[likeliest]
            priors.append(PRIORS[likeliest])
        likelihood = float(np.log(p).sum())
        if likelihood > best:
            best, weights = likelihood, (tuple(priors), own)
    return weights
