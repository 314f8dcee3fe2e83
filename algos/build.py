"""From the name of an algorithm and its settings to the LightningModule with its network."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from algos.ar import AR
from algos.base import Algorithm, Average, Optimizer
from algos.bd3lm import BD3LM
from algos.d3pm import D3PM
from algos.duo import DUO
from algos.duo_distill import DUODistill
from algos.gidd import GIDD
from algos.mdlm import MDLM
from algos.sedd import SEDD, SEDDUniform
from algos.settings import Algo
from algos.udlm import UDLM
from backbones.dit import DiT
from backbones.settings import Model
from diffusion.schedule import ALPHAS
from diffusion.settings import Noise
from schema.fields import keywords

Construct = Callable[[Callable[[], DiT]], DiT]
ALGORITHMS: dict[str, type[Algorithm]] = {
    "ar": AR,
    "mdlm": MDLM,
    "d3pm": D3PM,
    "sedd": SEDD,
    "sedd_uniform": SEDDUniform,
    "udlm": UDLM,
    "duo": DUO,
    "duo_distill": DUODistill,
    "gidd": GIDD,
    "bd3lm": BD3LM,
}


def called(make: Callable[[], DiT]) -> DiT:
    return make()


def pick(known: dict[str, Any], key: str, name: str) -> Any:
    """known[name], or a ValueError that lists what there is."""
    if name not in known:
        raise ValueError(f"{key}={name!r}: choose from {', '.join(sorted(known))}")
    return known[name]


def make_algorithm(
    algo: Algo,
    model: Model,
    noise: Noise,
    vocab_size: int,
    *,
    seed: int,
    global_batch_size: int,
    sampling_eps: float | None,
    antithetic_sampling: bool,
    optimizer: Optimizer | None = None,
    lr_factor: Callable[[int], float] | None = None,
    average: Average | None = None,
    construct: Construct = called,
) -> Algorithm:
    """The algorithm with a new network; its weights depend on the seed alone. `construct` is given
    what makes the network, for a strategy that needs it in parts."""
    cls: type[Algorithm] = pick(ALGORITHMS, "algo.name", algo.name)
    facts = cls.facts
    torch.manual_seed(seed)
    outputs = vocab_size + facts.outputs_mask
    make = partial(DiT, vocab_size, causal=facts.causal, outputs=outputs, **keywords(model))
    base: dict[str, Any] = {
        "backbone": construct(make),
        "vocab_size": vocab_size,
        "seed": seed,
        "optimizer": optimizer,
        "lr_factor": lr_factor,
        "average": average,
    }
    if facts.causal:
        return cls(**base, **keywords(algo))
    if facts.noise_schedules:
        base["alpha"] = pick(ALPHAS, "noise.name", noise.name)(**keywords(noise))
    if sampling_eps is not None:
        base["sampling_eps"] = sampling_eps
    base["antithetic_sampling"] = antithetic_sampling
    base["global_batch_size"] = global_batch_size
    return cls(**base, **keywords(algo))
