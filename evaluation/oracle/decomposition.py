"""The error of a trained run in parts: what its bound loses, and what its training lost."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from algos.base import Algorithm, Draws, batch_of
from data.markov import MarkovLanguage
from evaluation.bootstrap import Estimate, standard_error

TEXTS = 2  # what a stream of random numbers is for


class Parts(NamedTuple):
    """Means over texts in nats per symbol: under the language itself, and on top of that the
    perfect network's bound over it, the run's over the perfect network's."""

    exact: Estimate
    bound: Estimate
    training: Estimate


def likelihood(
    perfect: Algorithm,
    trained: Algorithm,
    language: MarkovLanguage,
    *,
    count: int,
    length: int,
    passes: int,
    batch_size: int,
    seed: int,
) -> Parts:
    """Over `count` new texts of `length` tokens, with `passes` times and noises each, the same ones
    for both networks: the difference has none of their spread."""
    rng = np.random.default_rng([seed, TEXTS])
    symbols = torch.from_numpy(language.texts(count, length - 1, rng))
    tokens = torch.nn.functional.pad(symbols, (1, 0), value=language.states)
    passes = passes if perfect.nll_is_bound else 1
    exact = language.nll(symbols).sum(1) / (length - 1)
    first, second = torch.zeros_like(exact), torch.zeros_like(exact)
    starts = range(0, count, batch_size)
    with tqdm(desc="likelihoods", total=2 * passes * len(starts), unit="call") as bar:
        for start in starts:
            rows = slice(start, start + starts.step)
            for number in range(passes):
                first[rows] += nats(perfect, tokens[rows], start, number) / passes
                second[rows] += nats(trained, tokens[rows], start, number) / passes
                bar.update(2)
    return Parts(mean(exact), mean(first - exact), mean(second - first))


@torch.no_grad()
def nats(algorithm: Algorithm, tokens: Tensor, start: int, number: int) -> Tensor:
    """(B,) nats per symbol of texts number `start` on, in pass `number`; on the CPU, as the
    texts."""
    index = torch.arange(start, start + len(tokens))
    batch = batch_of(tokens.to(algorithm.device), 1, index)
    return algorithm.nll(batch, Draws(number)).double().sum(1).cpu() / (tokens.shape[1] - 1)


def mean(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), standard_error(values.numpy()))
