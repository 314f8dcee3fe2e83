"""Which algorithm can be sampled how: refusals from the configuration alone."""

from typing import Any

from algos.facts import Facts, facts_of
from modes.checks.names import canonical
from samplers.facts import FACTS as SAMPLERS

Settings = dict[str, Any]

OF_PSI = ("eta", "kappa_high", "kappa_low", "high_frac", "middle_frac", "plateau")
GIVEN = ("prompt", "infill", "tasks")


def check_sampling(algo: Settings, sampling: Settings) -> None:
    """ValueError for what a run of `algo` cannot do, or what would play no part."""
    facts, predictor = facts_of(canonical(algo["name"])), sampling["predictor"]
    if predictor is not None and predictor not in facts.samplers:
        raise ValueError(
            f"sampling.predictor={predictor}: algo={algo['name']} can use {[*facts.samplers]}"
        )
    for check in (check_loop, check_prediction, check_given, check_correction):
        check(algo, facts, sampling, predictor or facts.samplers[0])


def check_loop(algo: Settings, facts: Facts, sampling: Settings, predictor: str) -> None:
    """Steps, their grid and their end."""
    sampler = SAMPLERS[predictor]
    inner = facts.samplers[0] if sampler.longer_than_network else predictor
    tail, named = sampling["noise_removal"], f"sampling.predictor={inner} of algo={algo['name']}"
    if tail != "ancestral" and SAMPLERS[inner].own_end:
        raise ValueError(f"sampling.noise_removal={tail}: {named} has its own last step")
    if sampling["grid"] != "uniform" and not SAMPLERS[inner].has_grid:
        raise ValueError(f"sampling.grid={sampling['grid']}: {named} has no grid of times")
    if sampler.constant_in_time and algo.get("time_conditioning"):
        raise ValueError(
            "sampling.predictor=ancestral_cache: a network with algo.time_conditioning=true answers"
            " differently at every step; sampling.predictor=ancestral already skips the steps in "
            "which it draws nothing"
        )
    if not sampler.has_profile:
        for key in OF_PSI:
            if sampling[key] is not None:
                raise ValueError(f"sampling.{key}={sampling[key]}: only sampling.predictor=psi")
    elif sampling["grid"] != "uniform" and "loop" in str(sampling["kappa"]):
        raise ValueError(
            f"sampling.grid={sampling['grid']}: sampling.kappa={sampling['kappa']} "
            "has its own grid of times"
        )
    if not sampler.longer_than_network and sampling["stride"] is not None:
        raise ValueError(f"sampling.stride={sampling['stride']}: only sampling.predictor=semi_ar")


def check_prediction(algo: Settings, facts: Facts, sampling: Settings, predictor: str) -> None:
    """Refuses temperature, nucleus and guidance where the algorithm cannot use them."""
    bent = (sampling["temperature"], sampling["min_p"], sampling["top_k"], sampling["p_nucleus"])
    if facts.predicts_ratios and bent != (1, 0, None, 1):
        raise ValueError(
            "sampling.temperature, sampling.min_p, sampling.top_k, sampling.p_nucleus: "
            f"algo={algo['name']} predicts ratios, which have no temperature; leave them 1, 0, "
            "null, 1"
        )
    if sampling["draws"] != "exact" and not SAMPLERS[predictor].has_older_draws:
        raise ValueError(
            f"sampling.draws={sampling['draws']}: only sampling.predictor=ancestral has the draws "
            f"of older code, to reproduce its numbers; this is {predictor}"
        )
    if sampling["guidance"] and facts.causal:
        raise ValueError(
            f"sampling.guidance={sampling['guidance']}: algo={algo['name']} has no prediction "
            f"without its prompt"
        )
    if sampling["guidance"] and not any(sampling[key] is not None for key in GIVEN):
        raise ValueError(
            f"sampling.guidance={sampling['guidance']}: needs something to be guided by: "
            "sampling.prompt, sampling.infill or sampling.tasks"
        )


def check_given(algo: Settings, facts: Facts, sampling: Settings, predictor: str) -> None:
    """Given tokens and what is made of the samples."""
    if sampling["infill"] is not None and facts.causal:
        raise ValueError(
            f"sampling.infill={sampling['infill']}: algo={algo['name']} takes prefixes only; "
            f"sampling.prompt is one"
        )
    if sampling["animate"] and SAMPLERS[predictor].longer_than_network:
        raise ValueError(
            "sampling.animate=true: sampling.predictor=semi_ar draws several windows; "
            "animate one of them with another predictor"
        )


def check_correction(algo: Settings, facts: Facts, sampling: Settings, predictor: str) -> None:
    steps, uniform = sampling["self_correction"], algo.get("p_uniform")
    if steps and not (facts.self_corrects and uniform != 0):
        named = algo["name"] if uniform is None else f"{algo['name']} with p_uniform={uniform}"
        raise ValueError(
            f"sampling.self_correction={steps}: algo={named} cannot, its network predicts nothing "
            f"for a token that stands already; algorithms with uniform noise can"
        )
    if steps and SAMPLERS[predictor].longer_than_network:
        raise ValueError(
            f"sampling.self_correction={steps}: the network reads its own length at once, "
            "sampling.predictor=semi_ar draws longer texts"
        )
