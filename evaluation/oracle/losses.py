"""Losses of generated texts of a known language: distances to the truth beyond those of as many
true texts, with standard errors."""

import math
from typing import NamedTuple

import numpy as np
import torch

from data.markov import MarkovLanguage
from evaluation.bootstrap import standard_error
from evaluation.ngrams import Ids
from evaluation.oracle.ngrams import NEVER, distances

NATS = "nats"
TRUE_SETS = 40


class Loss(NamedTuple):
    """A distance as measured, and what is left of it beyond that of true texts, with the standard
    error of the latter."""

    measured: float
    excess: float
    stderr: float


class Floor(NamedTuple):
    """Mean and standard deviation of each distance over sets of `texts` true texts of `length`
    symbols."""

    texts: int
    length: int
    mean: dict[str, float]
    deviation: dict[str, float]


def text_entropy(language: MarkovLanguage, length: int) -> float:
    """H(x_1 .. x_length) in nats, exactly."""
    law, total = np.ones(1), 0.0  # of the contexts of symbols seen so far
    for table in language.tables[:length]:
        logs = np.log(np.where(table > 0, table, 1.0))
        each = -float((law[:, None] * table * logs).sum())
        total += each
        law = (law[:, None] * table).ravel()
        law = law if len(law) <= len(language.stationary) else language.stationary
    return total + max(0, length - language.order - 1) * each


def sizes(language: MarkovLanguage, count: int, length: int) -> list[int]:
    """The n of the n-grams that are counted: up to 3, one more than the order, and whole texts
    where `count` texts could be all there are."""
    short = range(1, min(length, max(3, language.order + 1)) + 1)
    whole = language.states**length <= count and length > short[-1]
    return [*short, *([length] if whole else [])]


def floor(language: MarkovLanguage, count: int, length: int, rng: np.random.Generator) -> Floor:
    """The distances of true texts: a table of n-grams counted in few texts differs from the truth,
    however they were drawn."""
    counted = sizes(language, count, length)
    sets = [
        distances(language.texts(count, length, rng), language, counted) for _ in range(TRUE_SETS)
    ]
    values = {name: [each[name].value for each in sets] for name in sets[0]}
    means = {name: float(np.mean(each)) for name, each in values.items()}
    deviations = {name: float(np.std(each, ddof=1)) for name, each in values.items()}
    return Floor(count, length, means, deviations)


def losses(texts: Ids, language: MarkovLanguage, true: Floor) -> dict[str, Loss]:
    """Every distance of texts (S, M) of independent samples, S >= 2, beyond `true`, and the nats
    per symbol.

    The excess of a total variation says less than the truth where tables are large: noise that is
    there already hides some of it. Errors are the larger of the first-order one and of the
    deviation between sets of true texts, where the first order may vanish, with that of their
    mean."""
    count, length = texts.shape
    if (count, length) != (true.texts, true.length):
        raise ValueError(f"texts {texts.shape}: the floor is of {true.texts, true.length}")
    by_name = {NATS: excess_nats(texts, language)}
    for name, (value, stderr) in distances(texts, language, sizes(language, *texts.shape)).items():
        noise = true.deviation[name]
        error = math.hypot(max(stderr, noise), noise / math.sqrt(TRUE_SETS))
        by_name[name] = Loss(value, value - true.mean[name], error)
    return by_name


def excess_nats(texts: Ids, language: MarkovLanguage) -> Loss:
    """-log q(text) per symbol minus the entropy of the language: without bias for any number of
    texts; negative where the texts are likelier than those of the language. A token that is no
    symbol costs nothing here, `foreign` counts it; what cannot follow costs 700 nats."""
    length = texts.shape[1]
    nats = language.nll(torch.from_numpy(texts)).clamp_max(NEVER).sum(1).numpy() / length
    mean = float(nats.mean())
    return Loss(mean, mean - text_entropy(language, length) / length, standard_error(nats))


def foreign(texts: Ids, language: MarkovLanguage) -> float:
    """The share of tokens that are no symbols."""
    return float((texts >= language.states).mean())
