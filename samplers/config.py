"""The keys of `sampling` as a sampler: checked against each other, with the fields of a record that
describe it and the number of its network calls."""

from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from torch import Tensor

from algos.facts import canonical, facts_of
from algos.settings import Algo
from diffusion.guidance import Guidance
from diffusion.logits_warper import LogitsWarper
from samplers.check import OF_PSI, inner_of
from samplers.facts import FACTS, SamplerFacts
from samplers.kappa import Profile, profile
from samplers.orders import Order, make_order
from samplers.semi_ar import check_stride
from samplers.settings import Sampling


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

    def guidance_of(self, fixed: Tensor) -> Guidance | None:
        """Guidance by what is `fixed` (B, L) behind the opening, None where there is none."""
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


def sampler_config(
    sampling: Sampling,
    algo: Algo,
    window: int,
    opening: int,
    end: int | None = None,
) -> SamplerConfig:
    """The sampler that `sampling` names, or the default one of the algorithm; `end` is the token at
    which texts end where that is asked for. ValueError for what makes no sense, before anything is
    loaded."""
    own, block = facts_of(canonical(algo.name)), getattr(algo, "block_size", None)
    predictor = sampling.predictor or own.samplers[0]
    facts, stride = FACTS[predictor], sampling.stride or window // 2
    if facts.longer_than_network:
        check_stride(stride, window, opening)
    of_kappa = {key.removeprefix("kappa_"): getattr(sampling, key) for key in ("kappa", *OF_PSI)}
    inner = inner_of(own, sampling, predictor)
    return SamplerConfig(
        predictor=predictor,
        inner=inner,
        window=window,
        opening=opening,
        steps=sampling.steps,
        temperature=sampling.temperature,
        stride=stride,
        profile=profile(**of_kappa) if facts.has_profile else None,
        order=make_order(sampling, sampling.order, block or window)
        if FACTS[inner].has_order
        else None,
        block=block,
        cached=sampling.cache is not False,
        end=end if sampling.until_eos else None,
        **{key: getattr(sampling, key) for key in DEFAULTS},
    )
