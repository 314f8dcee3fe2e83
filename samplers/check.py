"""Which algorithm can be sampled how: refusals from the configuration alone."""

from algos.facts import Facts, canonical, facts_of
from algos.settings import Algo
from samplers.facts import FACTS as SAMPLERS
from samplers.settings import Sampling

CUTS = {"top_k": None, "p_nucleus": 1, "min_p": 0}
OF_ORDER = ("order", "per_step", "entropy_bound")
OF_PSI = ("eta", "kappa_high", "kappa_low", "high_frac", "middle_frac", "plateau")
GIVEN = ("prompt", "infill", "tasks")


def check_sampling(algo: Algo, sampling: Sampling) -> None:
    """ValueError for what a run of `algo` cannot do, or what would play no part."""
    facts, predictor = facts_of(canonical(algo.name)), sampling.predictor
    if predictor is not None and predictor not in facts.samplers:
        why = f"algo={algo.name} can use {[*facts.samplers]}"
        raise refusal(sampling, "predictor", why)
    named = predictor or facts.samplers[0]
    if named not in usable(algo) and not SAMPLERS[named].has_order:
        why = f"algo={algo.name} with {noise_of(algo)} can use {usable(algo)}"
        raise refusal(sampling, "predictor", why)
    checks = (check_loop, check_coins, check_order, check_prediction, check_given, check_correction)
    for check in (*checks, check_blocks):
        check(algo, facts, sampling, named)


def refusal(sampling: Sampling, key: str, why: str) -> ValueError:
    return ValueError(f"sampling.{key}={getattr(sampling, key)}: {why}")


def noise_of(algo: Algo) -> str:
    """The setting that gives an algorithm uniform noise."""
    key = "noise" if hasattr(algo, "noise") else "p_uniform"
    return f"{key}={getattr(algo, key)}"


def check_blocks(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    """What only texts that come about block after block can have, and what they cannot."""
    named, cache = f"algo={algo.name}", sampling.cache
    if facts.blocks:
        if sampling.animate:
            raise ValueError(f"sampling.animate=true: {named} draws one block after another")
        return
    if cache is not None and not (cache and facts.causal):
        why = "reads nothing without one" if facts.causal else "has none, every token sees all"
        raise ValueError(f"sampling.cache={str(cache).lower()}: {named} {why}; algo=bd3lm has one")
    if sampling.until_eos:
        raise ValueError(
            f"sampling.until_eos=true: {named} draws texts of one length; algo=bd3lm ends them"
        )


def usable(algo: Algo) -> list[str]:
    """The samplers that fit `algo` as it is set."""
    names = facts_of(canonical(algo.name)).samplers
    told_levels = getattr(algo, "noise", None) == "uniform"  # as the network of that noise is
    noise = bool(getattr(algo, "p_uniform", 0)) or told_levels
    return [
        name
        for name in names
        if not (SAMPLERS[name].masks_only and noise)
        and not (SAMPLERS[name].constant_in_time and told_levels)
    ]


def check_coins(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    inner, draws = inner_of(facts, sampling, predictor), sampling.draws
    if sampling.coins != "independent" and draws != "exact":
        raise refusal(sampling, "coins", f"sampling.draws={draws} flips no coins")
    if sampling.coins != "independent" and not SAMPLERS[inner].flips_coins:
        raise refusal(sampling, "coins", f"sampling.predictor={inner} flips no coins")


def inner_of(facts: Facts, sampling: Sampling, predictor: str) -> str:
    """The sampler of a window."""
    if not SAMPLERS[predictor].longer_than_network:
        return predictor
    return facts.samplers[0] if sampling.order is None else "ordered"


def check_order(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    """Whether and how masks can be revealed in an order."""
    inner = inner_of(facts, sampling, predictor)
    if not SAMPLERS[inner].has_order:
        for key in OF_ORDER:
            if getattr(sampling, key) is not None:
                why = "only sampling.predictor=ordered, or semi_ar with sampling.order"
                raise refusal(sampling, key, why)
        return
    named = "sampling.predictor=ordered"
    if inner != predictor:
        named = f"sampling.order={sampling.order}"
    check_masks_only(algo, facts, named)
    whole = sampling.length if inner == predictor else None
    check_pace(sampling, getattr(algo, "block_size", whole))


def check_eval_order(order: str, mode: str, sampling: Sampling) -> None:
    """ValueError for an eval.order that no run can have."""
    named = f"eval.order={order}"
    if mode != "ppl_eval":
        raise ValueError(f"{named}: mode=ppl_eval measures by it, not mode={mode}")
    if order == "random":
        raise ValueError(
            f"{named}: the probability of a text is then a sum over all orders, no product; choose "
            "confidence, entropy, left-to-right or margin"
        )
    for key, neutral in CUTS.items():
        if getattr(sampling, key) != neutral:
            why = f"with {named} texts with a token that is cut off would have no likelihood"
            raise refusal(sampling, key, f"{why}; leave it out")
    check_pace(sampling, None)


def check_ordered_run(algo: Algo, order: str, sampling: Sampling, length: int) -> None:
    """Whether a run of `algo` that reads `length` tokens has a likelihood by eval.order=`order`, at
    the pace of `sampling`."""
    check_masks_only(algo, facts_of(canonical(algo.name)), f"eval.order={order}")
    check_pace(sampling, length)


def check_masks_only(algo: Algo, facts: Facts, named: str) -> None:
    """ValueError that begins with `named` for an algorithm with more noise than masks, or none."""
    if "ordered" not in facts.samplers:
        raise ValueError(
            f"{named}: algo={algo.name} has no masks to reveal in an order; algorithms whose "
            "noise only masks have"
        )
    masks = "noise=masked" if hasattr(algo, "noise") else "p_uniform=0"
    if "ordered" not in usable(algo):
        raise ValueError(
            f"{named}: algo={algo.name} with {noise_of(algo)} has uniform noise, which no "
            f"order reveals; it takes noise that only masks, {masks}"
        )


def check_pace(sampling: Sampling, length: int | None) -> None:
    """Exactly one pace, of no more positions than a text of `length` tokens has."""
    per_step, bound = sampling.per_step, sampling.entropy_bound
    if per_step is not None and bound is not None:
        why = f"sampling.per_step={per_step} says already how many positions a step reveals"
        raise refusal(sampling, "entropy_bound", why)
    if per_step is not None and length is not None and per_step > length:
        raise refusal(sampling, "per_step", f"at most {length}, the tokens of a text")


def check_loop(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    """Steps, their grid and their end."""
    sampler = SAMPLERS[predictor]
    inner = inner_of(facts, sampling, predictor)
    tail, named = sampling.noise_removal, f"sampling.predictor={inner} of algo={algo.name}"
    if tail != "ancestral" and SAMPLERS[inner].own_end:
        raise refusal(sampling, "noise_removal", f"{named} has its own last step")
    if sampling.grid != "uniform" and not SAMPLERS[inner].has_grid:
        raise refusal(sampling, "grid", f"{named} has no grid of times")
    if sampler.constant_in_time and getattr(algo, "time_conditioning", False):
        raise ValueError(
            "sampling.predictor=ancestral_cache: a network with algo.time_conditioning=true answers"
            " differently at every step; sampling.predictor=ancestral already skips the steps in "
            "which it draws nothing"
        )
    if not sampler.has_profile:
        for key in OF_PSI:
            if getattr(sampling, key) is not None:
                raise refusal(sampling, key, "only sampling.predictor=psi")
    elif sampling.grid != "uniform" and "loop" in str(sampling.kappa):
        why = f"sampling.kappa={sampling.kappa} has its own grid of times"
        raise refusal(sampling, "grid", why)
    if not sampler.longer_than_network and sampling.stride is not None:
        raise refusal(sampling, "stride", "only sampling.predictor=semi_ar")


def check_prediction(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    """Refuses temperature, nucleus and guidance where the algorithm cannot use them."""
    bent = (sampling.temperature, sampling.min_p, sampling.top_k, sampling.p_nucleus)
    if facts.predicts_ratios and bent != (1, 0, None, 1):
        raise ValueError(
            "sampling.temperature, sampling.min_p, sampling.top_k, sampling.p_nucleus: "
            f"algo={algo.name} predicts ratios, which have no temperature; leave them 1, 0, "
            "null, 1"
        )
    if sampling.draws != "exact" and not SAMPLERS[predictor].has_older_draws:
        why = "only sampling.predictor=ancestral has the draws of older code, to reproduce its"
        raise refusal(sampling, "draws", f"{why} numbers; this is {predictor}")
    if sampling.guidance and (facts.causal or facts.blocks):
        why = f"algo={algo.name} has no prediction without its prompt"
        raise refusal(sampling, "guidance", why)
    if sampling.guidance and not any(getattr(sampling, key) is not None for key in GIVEN):
        things = "sampling.prompt, sampling.infill or sampling.tasks"
        raise refusal(sampling, "guidance", f"needs something to be guided by: {things}")


def check_given(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    """Given tokens and what is made of the samples."""
    if sampling.infill is not None and facts.causal:
        why = f"algo={algo.name} takes prefixes only; sampling.prompt is one"
        raise refusal(sampling, "infill", why)
    if sampling.animate and SAMPLERS[predictor].longer_than_network:
        raise ValueError(
            "sampling.animate=true: sampling.predictor=semi_ar draws several windows; "
            "animate one of them with another predictor"
        )


def check_correction(algo: Algo, facts: Facts, sampling: Sampling, predictor: str) -> None:
    steps, uniform = sampling.self_correction, getattr(algo, "p_uniform", None)
    if steps and not (facts.self_corrects and uniform != 0):
        named = algo.name if uniform is None else f"{algo.name} with p_uniform={uniform}"
        why = f"algo={named} cannot, its network predicts nothing for a token that stands already"
        raise refusal(sampling, "self_correction", f"{why}; algorithms with uniform noise can")
    if steps and SAMPLERS[predictor].longer_than_network:
        why = "the network reads its own length at once, sampling.predictor=semi_ar draws longer"
        raise refusal(sampling, "self_correction", f"{why} texts")
