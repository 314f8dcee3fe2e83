"""The keys of `sampling`; only the standard library."""

from dataclasses import dataclass
from typing import Any, Literal

from diffusion.settings import Prediction
from schema.fields import field

MANY = 1_000_000
Rule = Literal[
    "constant-eta",
    "constant-remdm-eta",
    "max-capped-eta",
    "max-rescale-eta",
    "max-rescale-eta-published",
    "pure-pc",
    "pure-posterior",
]
Kappa = (
    Rule
    | Literal[
        "psi-cap",
        "psi-loop",
        "psi-rescale",
        "psi-rescale-published",
        "remdm-cap",
        "remdm-conf",
        "remdm-loop",
        "remdm-rescale",
    ]
)
OrderRule = Literal["confidence", "entropy", "left-to-right", "margin", "random"]
LastStep = Literal["ancestral", "greedy", "greedy-posterior", "none"]


@dataclass(frozen=True)
class Sampling(Prediction):
    predictor: str | None = field(None, "the sampler; null: the algorithm's own")
    steps: int = field(128, "steps of time", at_least=1, at_most=MANY)
    grid: Literal["cosine", "uniform"] = field("uniform", "of times")
    length: int | None = field(
        None,
        "tokens; null: the model's; semi_ar and blocks draw longer texts",
        at_least=2,
        at_most=2**24,
    )
    stride: int | None = field(
        None,
        "semi_ar: new tokens per window; null: half the model's length",
        at_least=1,
        at_most=2**20,
    )
    draws: Literal["exact", "gumbel32"] = field(
        "exact", "gumbel32: the float32 noise of older code, which loses rare tokens"
    )
    noise_removal: LastStep = field(
        "ancestral", "the last step; greedy, greedy-posterior: argmax at t = 1e-5; none: stop there"
    )
    coins: Literal["independent", "systematic"] = field(
        "independent", "systematic: those of a step fall evenly over the positions of a text"
    )
    cache: bool | None = field(
        None, "keep keys and values of finished blocks; null: where there are blocks"
    )
    until_eos: bool = field(False, "of blocks: a text ends at the first EOS that is drawn")
    order: OrderRule | None = field(
        None, "of predictor=ordered, whose default is confidence, and of the windows of semi_ar"
    )
    per_step: int | None = field(
        None, "positions that an order reveals at a time; null: 1", at_least=1, at_most=2**24
    )
    entropy_bound: float | None = field(
        None,
        "instead: as many as their entropies without the largest stay below, in nats",
        at_least=0,
        at_most=1_000_000,
    )
    kappa: Kappa = field("psi-rescale", "of predictor=psi: a preset or a rule (docs/sampling.md)")
    eta: float | None = field(None, "null: the preset's; so are the next five", within="[0, 1]")
    kappa_high: Rule | None = field(None, "the rule before the middle part")
    kappa_low: Rule | None = field(None, "the rule after the middle part")
    high_frac: float | None = field(None, "share of the first part", within="[0, 1]")
    middle_frac: float | None = field(None, "share of the middle part", within="[0, 1]")
    plateau: float | None = field(None, "share kept in the middle of a loop", within="[0, 1]")
    prompt: str | None = field(None, "a text to go on from", written="text")
    infill: str | None = field(
        None,
        '"The [...] sat on [...12]": gaps of any or of so many tokens',
        written="text",
    )
    tasks: str | None = field(None, "a jsonl file of prompts and gaps", written="path")
    guidance: float = field(
        0.0,
        "how far predictions are moved away from those without the prompt",
        at_least=0,
        at_most=1000,
    )
    num_sample_batches: int = field(
        1,
        "of loader.eval_batch_size texts; of a file of tasks: texts for each",
        at_least=1,
        at_most=MANY,
    )
    sweep: dict[str, Any] | None = field(
        None, "{temperature: [0.8, 1.0], steps: [32, 128]}: every pair, a table, a picture"
    )
    animate: bool = field(False, "a page that plays how the first texts came about")
    texts: str | None = field(
        None,
        "correct the texts of this file instead: our samples, txt (a text a line), jsonl",
        written="path",
    )
    self_correction: int = field(
        0,
        "at most so many steps of GIDD's self-correction over finished texts",
        at_least=0,
        at_most=MANY,
    )
    self_correction_temperature: float = field(0.1, "of its draws", above=0, at_most=1000)
    self_correction_tokens: int = field(1, "changed per step", at_least=1, at_most=2**20)
    self_correction_patience: int = field(
        32, "steps without a better state, then a text is left alone", at_least=1, at_most=MANY
    )
    self_correction_time: float = field(
        0.01, "the noise level that the network is told", within="[0, 1)"
    )
    show: int = field(3, "texts to print", at_least=0, at_most=MANY)
