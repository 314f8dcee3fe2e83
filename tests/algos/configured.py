"""Algorithms as their files in configs/algo describe them, small: a new file is a new one here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir
from torch import Tensor

import main
from algos.base import Algorithm, Batch, batch_of
from algos.bd3lm import BD3LM
from algos.facts import FACTS
from modes.build import algorithm
from modes.settings import Settings
from samplers.blocks import block_by_block
from samplers.build import SAMPLERS, Counter
from samplers.grids import uniform_grid
from samplers.kappa import profile
from samplers.orders import Order
from tests.changed import changed

CONFIGS = Path(main.__file__).parent / "configs"
TINY = {"hidden_size": 16, "n_blocks": 1, "n_heads": 2, "cond_dim": 8, "dropout": 0.0}


def _composed(group: str) -> dict[str, Settings]:
    """The settings with each file of a group by the name they give it: aliases count once."""
    found: dict[str, Settings] = {}
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for file in sorted((CONFIGS / group).glob("*.yaml")):
            settings = main.compose([f"{group}={file.stem}"])
            found.setdefault(getattr(settings, group).name, settings)
    return found


SETTINGS, NOISES = _composed("algo"), _composed("noise")
NAMES = sorted(SETTINGS)
DIFFUSION = [name for name in NAMES if not FACTS[name].causal]
# every algorithm with every noise that it takes, None where it brings its own, and with every
# sampler
NOISED = [(name, noise) for name in DIFFUSION for noise in FACTS[name].noise_schedules or [None]]
PREDICTORS = [
    (name, predictor)
    for name in NAMES
    for predictor in FACTS[name].samplers
    if predictor in SAMPLERS  # semi_ar is a loop around another one
    and (name, predictor) != ("gidd", "ordered")  # whose p_uniform is above 0 by default
]


def build(
    name: str, vocab_size: int = 5, length: int = 6, schedule: str | None = None, **own: Any
) -> Algorithm:
    """A network of random weights, so that no two positions predict the same."""
    settings, noises = SETTINGS[name], FACTS[name].noise_schedules
    if hasattr(settings.algo, "block_size"):
        own = {"block_size": length if length % 2 else length // 2} | own
    tiny = TINY | {"length": length}
    settings = changed(settings, algo=own, model=tiny, loader={"global_batch_size": 8})
    if noises:
        settings = changed(settings, noise=NOISES[schedule or noises[0]].noise)
    made = algorithm(settings, vocab_size)
    with torch.no_grad():
        for parameter in made.backbone.parameters():
            parameter.normal_(std=0.3)
    return made


def sampler_of(
    predictor: str,
    steps: int,
    algorithm: Algorithm,
    counter: Counter | None = None,
    cached: bool = True,
) -> Callable[..., Tensor]:
    """The sampling loop, with a grid of times where it has times; block after block where the
    algorithm has blocks, with keys and values `cached` or without; counted by `counter`."""
    loop: Callable[..., Tensor] = SAMPLERS[predictor]
    if predictor == "ordered":
        loop = partial(loop, order=Order("confidence", 1))
    elif predictor != "ar":
        own = {"profile": profile("psi-rescale")} if predictor == "psi" else {}
        loop = partial(loop, grid=uniform_grid(steps), **own)
    counter = counter or Counter()
    loop = counter.of(loop, 1)
    if not isinstance(algorithm, BD3LM):
        return loop
    size = algorithm.block_size
    return partial(
        block_by_block, loop=loop, block_size=size, cached=cached, told=counter.of_reader
    )


def a_batch(vocab_size: int = 5, length: int = 6, size: int = 8, start: int = 0) -> Batch:
    """Random texts whose first token is given: neither noised nor scored."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(vocab_size, (size, length), generator=generator)
    return batch_of(tokens, 1, torch.arange(start, start + size))
