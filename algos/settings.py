"""The keys of `algo`, by the name of the algorithm; only the standard library."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schema.check import read_node
from schema.fields import Limits, field

Bound = Literal["bound", "low_var"]
Weighting = Literal["clip", "dynamic", "dynamic_published", "none"]


@dataclass(frozen=True)
class Algo:
    """The setting of every algorithm; the rest are the keywords of its constructor."""

    name: str = field("", "the algorithm")


@dataclass(frozen=True)
class AR(Algo):
    name: str = field("ar", "autoregressive, left to right")


@dataclass(frozen=True)
class MDLM(Algo):
    name: str = field("mdlm", "masked diffusion (arXiv 2406.07524)")
    loss_type: Bound = field("bound", "low_var: the cross-entropy without its weight")
    time_conditioning: bool = field(False, "whether the network is told the noise level")


@dataclass(frozen=True)
class D3PM(Algo):
    name: str = field("d3pm", "absorbing noise in discrete time (arXiv 2107.03006)")
    T: int = field(1000, "steps of time", at_least=2, at_most=1_000_000)
    reconstruct_one_in: int = field(
        4,
        "one training text of so many has the reconstruction term, weighted so; 1: all",
        at_least=1,
        at_most=1_000_000,
    )


@dataclass(frozen=True)
class SEDD(Algo):
    name: str = field("sedd", "score entropy, absorbing noise (arXiv 2310.16834)")


@dataclass(frozen=True)
class SEDDUniform(Algo):
    name: str = field("sedd_uniform", "score entropy, uniform noise (arXiv 2310.16834)")


@dataclass(frozen=True)
class UDLM(Algo):
    name: str = field("udlm", "uniform noise (arXiv 2412.10193)")


CLIP_LOW = 1e-3  # of times in training: MDLM's, below which a clip is none


@dataclass(frozen=True)
class BD3LM(Algo):
    name: str = field("bd3lm", "block diffusion (arXiv 2503.09573)")
    block_size: int = field(16, "tokens of a block", at_least=1, at_most=2**20)
    noise: Literal["masked", "uniform"] = field("masked", "within a block")
    sampling_eps_min: float = field(CLIP_LOW, "earliest time in training", within="[0, 1)")
    sampling_eps_max: float = field(1.0, "latest time in training", within="(0, 1]")
    resample: bool = field(True, "keep the share of noise of each block between them too")
    clip_search: bool = field(
        False, "set them at each validation, to where the loss of a block varies least"
    )

    def check(self) -> None:
        low, high = self.sampling_eps_min, self.sampling_eps_max
        if low >= high:
            raise ValueError(
                f"algo.sampling_eps_min={low}: must be below algo.sampling_eps_max={high}"
            )
        shares = (number / self.block_size for number in range(1, self.block_size + 1))
        if self.resample and not any(low <= share <= high for share in shares):
            raise ValueError(
                f"algo.resample=true: no share of a block of algo.block_size={self.block_size} "
                f"lies between algo.sampling_eps_min={low} and algo.sampling_eps_max={high}"
            )


def check_block_size(block_size: int, length: int) -> None:
    """ValueError where a text of `length` tokens is no whole number of blocks."""
    if length % block_size:
        raise ValueError(f"algo.block_size={block_size}: must divide model.length={length}")


@dataclass(frozen=True)
class Gaussian(Algo):
    """Noise levels along a Gaussian path."""

    gamma_min: float | None = field(
        None, "gamma at t = 0; null: by an alpha near 1", within="[-8, 8]"
    )
    gamma_max: float | None = field(
        None, "gamma at t = 1; null: by an alpha near 0", within="[-8, 8]"
    )
    max_steps: int = field(
        "${trainer.max_steps}", "the steps of training", at_least=1, at_most=1_000_000_000
    )

    def check(self) -> None:
        low, high = self.gamma_min, self.gamma_max
        if low is not None and high is not None and low >= high:
            raise ValueError(f"algo.gamma_min={low}: must be below algo.gamma_max={high}")


@dataclass(frozen=True)
class DUO(Gaussian):
    name: str = field("duo", "uniform noise with a Gaussian curriculum (arXiv 2506.10892)")
    curriculum: Literal["efficient", "full"] = field(
        "efficient", "a softmax over the k largest competitors (Duo++), or over the vocabulary"
    )
    k: int = field(2, "competitors of the efficient curriculum", at_least=2, at_most=1_000_000)
    tau: float = field(1e-3, "temperature of the curriculum's softmax", above=0, at_most=100)
    curriculum_share: float = field(
        0.5, "share of all steps with the curriculum, then the discrete bound", within="[0, 1]"
    )
    curriculum_steps: int | None = field(
        None, "so many steps instead of that share", at_least=0, at_most=1_000_000_000
    )


@dataclass(frozen=True)
class DUODistill(Gaussian):
    name: str = field("duo_distill", "discrete consistency distillation of a DUO run")
    rounds: int = field(
        5, "rounds of equal length; in each, steps of time twice as long", at_least=1, at_most=64
    )
    grid: int = field(512, "the first round spans 1 / grid of time", at_least=1, at_most=10**12)
    divergence: Literal["forward", "reverse"] = field(
        "reverse", "KL(student || teacher), or forward: KL(teacher || student)"
    )
    teacher: Literal["averaged", "raw"] = field(
        "raw", "which of the student's weights teach in the next round"
    )


@dataclass(frozen=True)
class GIDD(Algo):
    name: str = field("gidd", "masks and uniform noise in one process (arXiv 2503.04482)")
    p_uniform: float = field(0.1, "share of uniform noise at t = 1/2", within="[0, 1)")
    weighting: Weighting = field("dynamic", "of the training loss; none: the bound itself")
    max_weight: float = field(2.0, "largest weight of a token", above=0, at_most=1_000_000)
    version: Literal["1.0", "1.1"] = field(
        "1.1", "of the authors' process; 1.0: of the models that they released", written="text"
    )


ALGOS: dict[str, type[Algo]] = {
    cls().name: cls
    for cls in (AR, MDLM, D3PM, SEDD, SEDDUniform, UDLM, DUO, DUODistill, GIDD, BD3LM)
}


def read_algo(stored: Mapping[str, Any]) -> Algo:
    """The settings of the algorithm in the configuration of a checkpoint."""
    algo: Algo = read_node(Limits("", nodes=ALGOS, by="name"), stored, "algo")
    return algo
