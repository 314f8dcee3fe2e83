"""The texts that are audited: held-out ones, trivial baselines, those of a run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from data.module import TokenDataModule
from diffusion.times import seed_of
from evaluation.sample_quality import naive_baselines
from modes import trained_run
from modes.held_out import held_out, spaced_texts
from modes.sample_eval import requests
from modes.settings import Settings
from modes.trained_run import TrainedRun
from samplers.build import draw
from samplers.config import sampler_config

Rows = list[list[int]]
TRAINING_TOKENS = 2_000_000  # at most, at equal distances in the training text
LEAST = 16  # texts
COOL = 0.5  # of the low temperatures
REAL = "held-out text"


class Corpus(NamedTuple):
    """Held-out texts in two halves, training texts, and how many tokens begin every text."""

    reference: Rows
    real: Rows
    training: Rows
    begins: int


def split(settings: Settings, run_settings: Settings, data: TokenDataModule) -> Corpus:
    """Twice as many held-out texts as sample_eval would draw, or all there are, in random halves;
    ValueError with fewer than 16 a half."""
    wanted = settings.loader.eval_batch_size * settings.sampling.num_sample_batches
    rows, length = held_out(data).rows, run_settings.model.length
    count = min(wanted, len(rows) // 2)
    if count < LEAST:
        raise ValueError(
            f"mode=audit: {count} texts of model.length={length} in each half of "
            f"the held-out text of data={data.name}, at least {LEAST} are needed; choose a smaller "
            f"model.length, more text, or a larger loader.eval_batch_size"
        )
    order = np.random.default_rng(settings.seed).permutation(len(rows))[: 2 * count]
    reference, real = ([rows[i] for i in half] for half in (order[:count], order[count:]))
    training = spaced_texts(data, "train", max(count, TRAINING_TOKENS // data.length))
    begins = len(requests.beginning(run_settings, data.tokenizer))
    return Corpus(reference, real, training, begins)


def generators(corpus: Corpus, seed: int) -> dict[str, Callable[[], Rows]]:
    """Functions by name that make as many texts as there are real ones, of their lengths."""
    real, begins = corpus.real, corpus.begins
    chain = partial(naive_baselines.chain, corpus.training, like=real, begins=begins)
    order = np.random.default_rng(seed).permutation(len(corpus.training))[: len(real)]
    return {
        REAL: lambda: real,
        "copied training text": lambda: [corpus.training[i] for i in order],
        "unigram chain": partial(chain, 1, temperature=1.0, seed=seed_of(seed, 1)),
        "bigram chain": partial(chain, 2, temperature=1.0, seed=seed_of(seed, 2)),
        "trigram chain": partial(chain, 3, temperature=1.0, seed=seed_of(seed, 3)),
        f"trigram chain, temperature {COOL}": partial(
            chain, 3, temperature=COOL, seed=seed_of(seed, 4)
        ),
        "shuffled held-out text": partial(naive_baselines.shuffled, real, begins, seed),
        "one text repeated": partial(naive_baselines.one_text, real),
        "a phrase repeated": partial(naive_baselines.phrases, real, begins),
    }


def samples(
    run: TrainedRun, settings: Settings, corpus: Corpus, device: torch.device, temperature: float
) -> Rows:
    """As many texts as there are real ones, by the run's sampler at a temperature, in float32."""
    algorithm = trained_run.restore(run).to(device)
    sampling = replace(settings.sampling, temperature=temperature)
    sampler = sampler_config(sampling, run.settings.algo, len(corpus.real[0]), corpus.begins)
    size, rows = settings.loader.eval_batch_size, []
    torch.manual_seed(settings.seed)
    with torch.no_grad():
        for start in range(0, len(corpus.real), size):
            tokens = torch.tensor(corpus.real[start : start + size], device=algorithm.device)
            fixed = torch.zeros_like(tokens, dtype=torch.bool)
            fixed[:, : corpus.begins] = True
            rows += draw(sampler, algorithm, tokens, fixed).tokens.tolist()
    return rows
