"""From the keys of `sampling` to a sampler with its own arguments bound, and to the fields of a
record that describe it."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from algos.facts import canonical, facts_of
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from diffusion.prediction import Prediction
from diffusion.process import Process
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.blocks import Reader, block_by_block
from samplers.coins import COINS
from samplers.facts import FACTS, SamplerFacts
from samplers.first_hitting import first_hitting
from samplers.greedy import TAILS
from samplers.grids import GRIDS
from samplers.kappa import Profile, profile, psi
from samplers.ordered import ordered
from samplers.orders import Order, make_order
from samplers.race import gumbel32
from samplers.score import analytic, euler
from samplers.semi_ar import check_stride, semi_ar
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
OF_KAPPA = ("kappa", "eta", "kappa_high", "kappa_low", "high_frac", "middle_frac", "plateau")


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


@dataclass(frozen=True)
class SamplerConfig:
    """The keys of `sampling` that decide how texts are drawn, checked against each other: `inner`
    is the loop, another one than `predictor` where that draws windows of `window` tokens, of which
    `opening` begin every text. Of an algorithm with blocks of `block` tokens it draws one after
    another, with keys and values `cached`, to the length asked for or to the token `end`. A field
    with a default is named in a record only where it differs."""

    predictor: str
    inner: str
    window: int
    opening: int
    steps: int
    temperature: float
    stride: int
    profile: Profile | None
    order: Order | None
    block: int | None
    cached: bool
    end: int | None
    min_p: float = 0.0
    top_k: int | None = None
    p_nucleus: float = 1.0
    nucleus: str = "keep-crossing"
    draws: str = "exact"
    noise_removal: str = "ancestral"
    grid: str = "uniform"
    coins: str = "independent"
    guidance: float = 0.0

    @property
    def facts(self) -> SamplerFacts:
        return FACTS[self.predictor]

    def warper(self) -> LogitsWarper:
        return LogitsWarper(self.temperature, self.min_p, self.top_k, self.p_nucleus, self.nucleus)

    def draw(
        self, model: Model, tokens: Tensor, fixed: Tensor, trace: Trace | None = None
    ) -> Samples:
        """Texts that keep `tokens` (B, L) where `fixed` (B, L); `trace` is told of their states."""
        sampler, counter = build_sampler(self, model.process), Counter()
        warper = self.warper()
        if self.block is not None:
            loop = partial(
                block_by_block,
                loop=counter.of(sampler.loop, 1),
                block_size=self.block,
                cached=self.cached,
                end=self.end,
                told=counter.of_reader,
            )
            texts = model.sample(tokens, fixed, loop, warper, None)
            return Samples(texts, counter.texts, counter.positions)

        def window(tokens: Tensor, fixed: Tensor) -> Tensor:
            guidance = self._guidance(fixed)
            loop = counter.of(sampler.loop, 1 if guidance is None else 2)
            if trace is not None:
                loop = trace.of(loop, sampler.grid, fixed)
            return model.sample(tokens, fixed, loop, warper, guidance)

        if self.facts.longer_than_network:
            texts = semi_ar(window, tokens, fixed, self.window, self.stride, self.opening)
        else:
            texts = window(tokens, fixed)
        return Samples(texts, counter.texts, counter.positions)

    def _guidance(self, fixed: Tensor) -> Guidance | None:
        if not self.guidance:
            return None
        prompt = fixed.clone()
        prompt[:, : self.opening] = False
        return Guidance(self.guidance, prompt)

    @property
    def any_length(self) -> bool:
        """Whether texts may be longer than the network."""
        return self.facts.longer_than_network or self.block is not None

    def calls(self, lengths: list[int]) -> int:
        """The most network calls for a batch of texts of one of these lengths."""
        longest, inner = max(lengths), FACTS[self.inner]
        if self.block is not None:
            blocks = -(-longest // self.block)
            alone = replace(self, block=None).calls([self.block])
            return blocks * alone + (blocks - 1) * self.cached
        if self.order is not None and not self.facts.longer_than_network:
            return self.order.steps(longest)
        if not inner.has_grid:
            return longest - inner.left_to_right
        once = self.steps + (self.noise_removal in ("greedy", "greedy-posterior"))
        if not self.facts.longer_than_network:
            return once
        return once * (1 + -(-max(longest - self.window, 0) // self.stride))

    def protocol(self) -> dict[str, Any]:
        """The fields of a record that describe the sampler."""
        record: dict[str, Any] = {"predictor": self.predictor, "temperature": self.temperature}
        record |= {"steps": self.steps if FACTS[self.inner].has_grid else None}
        record |= {
            key: getattr(self, key)
            for key, usual in DEFAULTS.items()
            if getattr(self, key) != usual
        }
        if self.facts.longer_than_network:
            record |= {"stride": self.stride}
        if self.block is not None:
            record |= {"block_size": self.block}
            record |= {} if self.cached else {"cache": False}
            record |= {} if self.end is None else {"end": self.end}
        if self.profile is not None:
            record |= {key: value for key, value in self.profile._asdict().items() if value}
        if self.order is not None:
            record |= self.order.protocol()
        return record


DEFAULTS = {
    field.name: field.default for field in fields(SamplerConfig) if field.default is not MISSING
}


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


def sampler_config(
    options: dict[str, Any],
    algo: dict[str, Any],
    window: int,
    opening: int,
    end: int | None = None,
) -> SamplerConfig:
    """The sampler that `options`, the keys of `sampling`, name, or the default one of the algorithm
    with the keys `algo`; `end` is the token at which texts end where that is asked for. ValueError
    for what makes no sense, before anything is loaded."""
    default, block = facts_of(canonical(algo["name"])).samplers[0], algo.get("block_size")
    predictor = options["predictor"] or default
    facts, stride = FACTS[predictor], options["stride"] or window // 2
    if facts.longer_than_network:
        check_stride(stride, window, opening)
    own = {key.removeprefix("kappa_"): options[key] for key in OF_KAPPA}
    inner = default if facts.longer_than_network else predictor
    if facts.longer_than_network and options["order"] is not None:
        inner = "ordered"
    return SamplerConfig(
        predictor=predictor,
        inner=inner,
        window=window,
        opening=opening,
        steps=options["steps"],
        temperature=options["temperature"],
        stride=stride,
        profile=profile(**own) if facts.has_profile else None,
        order=make_order(options, options["order"], block or window)
        if FACTS[inner].has_order
        else None,
        block=block,
        cached=options["cache"] is not False,
        end=end if options["until_eos"] else None,
        **{key: options[key] for key in DEFAULTS},
    )


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
    tail = TAILS[config.noise_removal]
    return Sampler(partial(tail, grid=grid, sampler=loop), grid)
