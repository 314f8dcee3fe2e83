"""Samplers with their own arguments bound, and texts drawn by them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.blocks import Reader, block_by_block
from samplers.coins import COINS
from samplers.config import SamplerConfig
from samplers.facts import FACTS
from samplers.first_hitting import first_hitting
from samplers.greedy import with_tail
from samplers.grids import GRIDS
from samplers.kappa import psi
from samplers.ordered import ordered
from samplers.race import gumbel32
from samplers.score import analytic, euler
from samplers.semi_ar import semi_ar
from samplers.trajectory import Trace

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "ancestral": ancestral,
    # The published name. Nothing has to be cached: `ancestral` asks only for what it draws.
    "ancestral_cache": ancestral,
    "psi": psi,
    "first_hitting": first_hitting,
    "ordered": ordered,
    "analytic": analytic,
    "euler": euler,
    "ar": autoregressive,
}
T = TypeVar("T")
LAST = 1e-5  # the time of the last look where the loop does not end with a draw, as published


class Model(Protocol):
    """An algorithm as samplers see it; without a `process` it draws token by token."""

    process: Process | None

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        warper: LogitsWarper,
        guidance: Guidance | None,
    ) -> Tensor: ...


class Samples(NamedTuple):
    """Texts (B, L), and the network evaluations for them: texts, each once for every call that
    has it, and their positions that these calls read."""

    tokens: Tensor
    network_evaluations: int
    positions: int


class Sampler(NamedTuple):
    """A loop with its own arguments bound, and the grid of times that it follows, if any."""

    loop: Callable[..., Tensor]
    grid: Tensor | None


class Counter:
    """Network evaluations of loops, in texts and in positions."""

    def __init__(self) -> None:
        self.texts = self.positions = 0

    def of(self, loop: Callable[..., T], each: int) -> Callable[..., T]:
        """The loop, whose denoiser shows every text to the network `each` times."""

        def counted(denoise: Callable[..., Prediction], *rest: Any, **options: Any) -> T:
            def counting(z: Tensor, *more: Tensor) -> Prediction:
                self.texts += each * len(z)
                self.positions += each * z.numel()
                return denoise(z, *more)

            return loop(counting, *rest, **options)

        return counted

    def of_reader(self, reader: Reader) -> None:
        """Adds the evaluations that finished blocks; the reader knows of all positions."""
        self.texts += reader.evaluations
        self.positions = reader.positions


def draw(
    config: SamplerConfig,
    model: Model,
    tokens: Tensor,
    fixed: Tensor,
    trace: Trace | None = None,
) -> Samples:
    """Texts that keep `tokens` (B, L) where `fixed` (B, L); `trace` is told of their states."""
    sampler, counter = build_sampler(config, model.process), Counter()
    warper = config.warper()
    if config.block is not None:
        loop = partial(
            block_by_block,
            loop=counter.of(sampler.loop, 1),
            block_size=config.block,
            cached=config.cached,
            end=config.end,
            told=counter.of_reader,
        )
        texts = model.sample(tokens, fixed, loop, warper, None)
        return Samples(texts, counter.texts, counter.positions)

    def window(tokens: Tensor, fixed: Tensor) -> Tensor:
        guidance = config.guidance_of(fixed)
        loop = counter.of(sampler.loop, 1 if guidance is None else 2)
        if trace is not None:
            loop = trace.of(loop, sampler.grid, fixed)
        return model.sample(tokens, fixed, loop, warper, guidance)

    if config.facts.longer_than_network:
        texts = semi_ar(window, tokens, fixed, config.window, config.stride, config.opening)
    else:
        texts = window(tokens, fixed)
    return Samples(texts, counter.texts, counter.positions)


def build_sampler(config: SamplerConfig, process: Process | None) -> Sampler:
    """The loop of a configuration for an algorithm with this process."""
    loop = SAMPLERS[config.inner]
    if config.order is not None:
        return Sampler(partial(loop, order=config.order), None)
    if process is None or not FACTS[config.inner].has_grid:
        return Sampler(loop, None)  # one token after another
    if config.draws != "exact":
        loop = gumbel32
    elif FACTS[config.inner].flips_coins:
        loop = partial(loop, coins=COINS[config.coins])
    make_grid = GRIDS[config.grid]
    if config.profile is not None:
        loop = partial(loop, profile=config.profile)
        if config.profile.plateau is not None:
            parts = ("plateau", "high_frac", "middle_frac")
            own = {key: getattr(config.profile, key) for key in parts}
            make_grid = partial(GRIDS["linear-constant-linear"], process=process, **own)
    if config.noise_removal == "ancestral":
        grid = make_grid(config.steps)
        return Sampler(partial(loop, grid=grid), grid)
    grid = make_grid(config.steps, LAST)
    return Sampler(partial(with_tail, grid=grid, sampler=loop, tail=config.noise_removal), grid)
