"""How texts are drawn: from the keys of `sampling` to a loop, and to what a record says of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from diffusion.guidance import Guidance
from diffusion.process import Process
from diffusion.shaping import Shaping
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.facts import FACTS, SamplerFacts
from samplers.first_hitting import first_hitting
from samplers.greedy import TAILS
from samplers.grids import GRIDS
from samplers.kappa import Profile, profile, psi
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
    "analytic": analytic,
    "euler": euler,
    "ar": autoregressive,
}
Options = dict[str, Any]
LAST = 1e-5  # the time of the last look where the loop does not end with a draw, as published
OF_KAPPA = ("kappa", "eta", "kappa_high", "kappa_low", "high_frac", "middle_frac", "plateau")
# What a sampler does unless it is told otherwise; a record names only what differs.
DEFAULTS = {
    "min_p": 0.0,
    "top_k": None,
    "p_nucleus": 1.0,
    "nucleus": "keep-crossing",
    "draws": "exact",
    "noise_removal": "ancestral",
    "grid": "uniform",
    "guidance": 0.0,
}


class Model(Protocol):
    """What texts are drawn from: an algorithm, which has a `process` unless it draws token by
    token."""

    shaping: Shaping

    def sample(
        self,
        tokens: Tensor,
        fixed: Tensor,
        sampler: Callable[..., Tensor],
        guidance: Guidance | None = None,
    ) -> Tensor: ...


class Way(NamedTuple):
    """One way to draw: `predictor` is the loop, `inner` the one that semi_ar calls for a window of
    `window` tokens, of which `opening` begin every text."""

    options: Options
    predictor: str
    inner: str
    window: int
    opening: int

    @property
    def facts(self) -> SamplerFacts:
        return FACTS[self.predictor]

    def __call__(
        self, algorithm: Model, tokens: Tensor, fixed: Tensor, trace: Trace | None = None
    ) -> Tensor:
        """Texts (B, L) that keep `tokens` (B, L) where `fixed` (B, L)."""
        algorithm.shaping = shaping(self.options)
        if not self.facts.longer_than_network:
            return self._drawn(algorithm, tokens, fixed, trace)
        draw = partial(self._drawn, algorithm)
        return semi_ar(draw, tokens, fixed, self.window, self.options["stride"], self.opening)

    def _drawn(
        self, algorithm: Model, tokens: Tensor, fixed: Tensor, trace: Trace | None = None
    ) -> Tensor:
        process = getattr(algorithm, "process", None)
        sampler = (
            SAMPLERS[self.inner] if process is None else loop(self.inner, self.options, process)
        )
        if trace is not None:
            sampler = trace.of(sampler, fixed)
        return algorithm.sample(tokens, fixed, sampler, self._guidance(fixed))

    def _guidance(self, fixed: Tensor) -> Guidance | None:
        if not self.options["guidance"]:
            return None
        prompt = fixed.clone()
        prompt[:, : self.opening] = False
        return Guidance(self.options["guidance"], prompt)

    def calls(self, lengths: list[int]) -> int:
        """The most network calls for a batch of texts of one of these lengths."""
        options, longest = self.options, max(lengths)
        inner = FACTS[self.inner]
        if not inner.has_grid:
            return longest - inner.left_to_right
        once = options["steps"] + (options["noise_removal"] in ("greedy", "greedy-posterior"))
        if not self.facts.longer_than_network:
            return once
        return once * (1 + -(-max(longest - self.window, 0) // options["stride"]))

    def protocol(self) -> dict[str, Any]:
        """What a record says of it."""
        options, stepwise = self.options, FACTS[self.inner].has_grid
        said = {"predictor": self.predictor, "temperature": options["temperature"]}
        said |= {"steps": options["steps"] if stepwise else None}
        said |= {key: options[key] for key in DEFAULTS if options[key] != DEFAULTS[key]}
        if self.facts.longer_than_network:
            said |= {"stride": options["stride"]}
        if self.facts.has_profile:
            said |= {key: value for key, value in kappa(options)._asdict().items() if value}
        return said


def way(options: Options, default: str, window: int, opening: int) -> Way:
    """The way that `options` name, or the `default` one of the algorithm."""
    predictor = options["predictor"] or default
    facts = FACTS[predictor]
    if facts.has_profile:
        kappa(options)  # refuses what makes no sense before anything is loaded
    if facts.longer_than_network:
        options = options | {"stride": options["stride"] or window // 2}
        check_stride(options["stride"], window, opening)
    return Way(
        options, predictor, default if facts.longer_than_network else predictor, window, opening
    )


def shaping(options: Options) -> Shaping:
    return Shaping(
        temperature=options["temperature"],
        min_p=options["min_p"],
        top_k=options["top_k"],
        top_p=options["p_nucleus"],
        nucleus=options["nucleus"],
    )


def kappa(options: Options) -> Profile:
    """The profile of predictor=psi."""
    given = {key.removeprefix("kappa_"): options[key] for key in OF_KAPPA}
    return profile(**given)


def loop(predictor: str, options: Options, process: Process) -> Callable[..., Tensor]:
    """The sampling loop of a diffusion algorithm with its own options bound."""
    chosen, tail = SAMPLERS[predictor], options["noise_removal"]
    if not FACTS[predictor].has_grid:
        return chosen  # it has its own clock
    if options["draws"] != "exact":
        chosen = gumbel32
    make_grid = GRIDS[options["grid"]]
    if FACTS[predictor].has_profile:
        made = kappa(options)
        chosen = partial(chosen, profile=made)
        if made.plateau is not None:
            own = {key: getattr(made, key) for key in ("plateau", "high_frac", "middle_frac")}
            make_grid = partial(GRIDS["linear-constant-linear"], process=process, **own)
    if tail == "ancestral":
        return partial(chosen, grid=make_grid(options["steps"]))
    return partial(TAILS[tail], grid=make_grid(options["steps"], LAST), sampler=chosen)
