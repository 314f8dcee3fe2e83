"""Facts of each algorithm that its class, the checks of a command and the modes share; the standard
library alone, since a command is refused before torch is imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """`samplers` are those that fit, the default first; `noise_schedules` the files of
    configs/noise that it takes, none where its own parameters set the noise."""

    samplers: tuple[str, ...]
    noise_schedules: tuple[str, ...] = ()
    self_corrects: bool = False  # whether the network predicts anything for a token that stands
    causal: bool = False  # a causal network: prefixes only, from a first token that is given
    predicts_ratios: bool = False  # which no temperature and no cut applies to
    outputs_mask: bool = False  # whether the network's outputs are N + 1, the mask among them
    has_teacher: bool = False  # another network, with which training begins
    uniform: bool = False  # noise that makes tokens of tokens alone: there is no mask
    blocks: bool = False  # texts come about block after block of algo.block_size: of any length


ALPHAS = ("log-linear", "cosine", "geometric")
PSI = ("ancestral", "psi", "semi_ar")
SCORES = ("analytic", "euler", "semi_ar")

FACTS = {
    "ar": Facts(samplers=("ar",), causal=True),
    "mdlm": Facts(
        ("ancestral", "ancestral_cache", "psi", "first_hitting", "ordered", "semi_ar"), ALPHAS
    ),
    # On the grid of T times alpha = 1 - t. Trained to copy the tokens that stand, it corrects none.
    "d3pm": Facts(("ancestral", "ordered", "semi_ar"), ("log-linear",), outputs_mask=True),
    "sedd": Facts(("analytic", "euler", "ordered", "semi_ar"), ("log-linear", "geometric")),
    "sedd_uniform": Facts(SCORES, ("log-linear", "geometric"), predicts_ratios=True, uniform=True),
    "udlm": Facts(PSI, ALPHAS, self_corrects=True, uniform=True),
    "duo": Facts(PSI, ALPHAS, self_corrects=True, uniform=True),
    "duo_distill": Facts(PSI, ALPHAS, self_corrects=True, has_teacher=True, uniform=True),
    # Within a block; with algo.noise=uniform those of uniform noise.
    "bd3lm": Facts(
        ("ancestral", "ancestral_cache", "psi", "first_hitting", "ordered"), ALPHAS, blocks=True
    ),
    # It reveals in an order where p_uniform is 0, and corrects itself elsewhere.
    "gidd": Facts(("ancestral", "psi", "ordered", "semi_ar"), self_corrects=True),
}


# Algorithms with two names: the second is the one of settings, records and folders.
ALIASES = {"duo_base": "udlm", "distillation": "duo_distill"}


def canonical(algorithm: str) -> str:
    """The name that settings, records and folders have."""
    return ALIASES.get(algorithm, algorithm)


def same_algorithm(one: str, other: str) -> bool:
    return canonical(one) == canonical(other)


def facts_of(algorithm: str) -> Facts:
    """The facts of an algorithm by its name; ValueError that lists the known ones."""
    if algorithm not in FACTS:
        raise ValueError(f"algo.name={algorithm!r}: choose from {', '.join(sorted(FACTS))}")
    return FACTS[algorithm]
