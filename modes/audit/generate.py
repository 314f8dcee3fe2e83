"""Samples of a trained run for an audit."""

from typing import Any, Protocol

import torch

from algos.facts import facts_of
from modes import trained_run
from modes.trained_run import TrainedRun
from samplers.build import sampler_config

Rows = list[list[int]]


class Texts(Protocol):
    """Held-out texts whose beginnings and lengths the samples take."""

    @property
    def real(self) -> Rows: ...

    @property
    def begins(self) -> int: ...


def samples(
    run: TrainedRun,
    settings: dict[str, Any],
    vocab_size: int,
    texts: Texts,
    temperature: float,
) -> Rows:
    """As many texts as there are real ones, by the run's sampler at a temperature."""
    options, length = settings["sampling"] | {"temperature": temperature}, len(texts.real[0])
    default = facts_of(run.settings["algo"]["name"]).samplers[0]
    sampler = sampler_config(options, default, length, texts.begins)
    algorithm = trained_run.restore(run, vocab_size).to(device(settings))
    size, made = settings["loader"]["eval_batch_size"], []
    torch.manual_seed(settings["seed"])
    with torch.no_grad():
        for start in range(0, len(texts.real), size):
            tokens = torch.tensor(texts.real[start : start + size], device=algorithm.device)
            fixed = torch.zeros_like(tokens, dtype=torch.bool)
            fixed[:, : texts.begins] = True
            made += sampler.draw(algorithm, tokens, fixed).tokens.tolist()
    return made


def device(settings: dict[str, Any]) -> torch.device:
    """The GPU where there is one, unless trainer.accelerator=cpu."""
    gpu = settings["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")
