"""Keys of s-sahoo/duo and kuleshov-group/mdlm: what is the same here is taken, the rest is refused
with the key that says it here. Only the standard library; docs/coming-from.md has whole
commands."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from modes.checks.arguments import overrides_of
from modes.checks.foreign_keys import LEFT_OUT, OF_A_CURRICULUM, OF_TEXTS, REFUSED, TAKEN
from modes.checks.names import canonical, same_algorithm

OLDER = ("start", "end")  # algo.curriculum_end was algo.curriculum.end later

Given = Mapping[str, str]
Outcome = tuple[dict[str, str], str] | None  # the table that has it, and what stands there


class Translation(NamedTuple):
    """Arguments as they are said here, a line for each that was taken or left out, and one for
    each that is refused."""

    arguments: list[str]
    notes: list[str]
    refused: list[str]


def translate(arguments: Sequence[str]) -> Translation:
    given = {_key(text): _value(text) for text in overrides_of(arguments)}
    made = Translation([], [], [])
    for text in arguments:
        if text not in overrides_of(arguments):
            made.arguments.append(text)
            continue
        table, ours = outcome(_key(text), _value(text), given) or (None, "")
        if table is TAKEN:
            _, _, typed = text.partition("=")
            same = [part.replace("{}", typed) for part in ours.split()]
            made.arguments.extend(same)
            made.notes.append(f"{text}: taken as {' '.join(same)}")
        elif table is LEFT_OUT:
            made.notes.append(f"{text}: left out, {ours}")
        elif table is REFUSED:
            made.refused.append(f"{text.lstrip('+')}: not a key or value here; instead: {ours}")
        else:
            made.arguments.append(text)
    return made


def outcome(key: str, value: str, given: Given) -> Outcome:
    """What becomes of a key with its value; None where it is this suite's own business."""
    if key.startswith("algo.curriculum_") and key != "algo.curriculum_steps":
        key = key.replace("_", ".", 1) if key.endswith(OLDER) else key
    key = key.replace("algo.gumbel_tau", "algo.curriculum.gumbel_tau")
    if key in SPECIAL and (special := SPECIAL[key](value, given)) is not None:
        return special
    groups = key.split(".")
    above = [f"{'.'.join(groups[:depth])}.*" for depth in range(len(groups) - 1, 0, -1)]
    for name in (f"{key}={value}", key, *above):
        for table in (TAKEN, LEFT_OUT, REFUSED):
            if name in table:
                return table, table[name]
    return None


def algorithm(given: Given) -> str | None:
    """The algorithm that the command line says; None where a recipe does."""
    if "algo" in given:
        return canonical(given["algo"])
    if "experiment" in given:
        return None
    named = given.get("parameterization", "subs")
    return named if named in ("ar", "d3pm", "sedd") else "mdlm"


def _parameterization(value: str, given: Given) -> Outcome:
    named = {"subs": "mdlm"}.get(value, value)
    if "algo" in given and same_algorithm(given["algo"], named):
        return LEFT_OUT, "algo= says it"
    return None


def _discrete_steps(value: str, given: Given) -> Outcome:
    """T of both: D3PM's here alone, and the grid of a distillation."""
    name = algorithm(given)
    if name is None or name == "d3pm":
        return (TAKEN, "algo.T={}") if "T" in given else None
    if name == "duo_distill":
        return TAKEN, "algo.grid={}"
    if value == "0":
        return LEFT_OUT, f"algo={name} has continuous time"
    return REFUSED, "algo=d3pm with algo.T=1000; the others have continuous time"


def _time_conditioning(value: str, given: Given) -> Outcome:
    name = algorithm(given)
    if name is None or name == "mdlm":
        return (TAKEN, "algo.time_conditioning={}") if "time_conditioning" in given else None
    if (value == "true") != (name == "ar"):
        return LEFT_OUT, f"algo={name} {'needs none' if name == 'ar' else 'has it'}"
    return REFUSED, "algo=mdlm alone has the choice, algo.time_conditioning"


def _loss_type(value: str, given: Given) -> Outcome:
    if value != "elbo":
        return None
    if algorithm(given) == "mdlm":
        return TAKEN, "algo.loss_type=bound"
    return LEFT_OUT, "the loss of diffusion is its bound"


def _temperature(value: str, given: Given) -> Outcome:
    """The two ends of a temperature in powers of ten: one here, where they agree."""
    ends = {text for key, text in given.items() if "gumbel_tau_log10" in key}
    try:
        (tau,) = {float(end) for end in ends}
    except ValueError:
        return REFUSED, OF_A_CURRICULUM
    return TAKEN, f"algo.tau={10**tau:g}"


def _start(value: str, given: Given) -> Outcome:
    return (LEFT_OUT, "the curriculum begins at step 0") if value == "0" else None


def _run_folder(value: str, given: Given) -> Outcome:
    """That of a run; the working directory is what Lightning tells the processes it starts."""
    return None if value == "." else (TAKEN, "checkpointing.save_dir={}")


def _valid_eos(value: str, given: Given) -> Outcome:
    evaluates = given.get("mode") == "ppl_eval"
    return (TAKEN, "data.insert_eos={}") if evaluates else (REFUSED, OF_TEXTS)


def _no_samples(value: str, given: Given) -> Outcome:
    draws = given.get("mode") == "sample_eval"
    return (LEFT_OUT, "mode=sample_eval alone draws") if value == "0" and not draws else None


def _predictor(value: str, given: Given) -> Outcome:
    """Their sampler of a window, where windows are what is asked for."""
    windows = given.get("sampling.semi_ar") == "true" and value.startswith("ddpm")
    return (LEFT_OUT, "the windows of sampling.predictor=semi_ar have it") if windows else None


SPECIAL: dict[str, Callable[[str, Given], Outcome]] = {
    "T": _discrete_steps,
    "algo.T": _discrete_steps,
    "algo.curriculum.gumbel_tau_log10_end": _temperature,
    "algo.curriculum.gumbel_tau_log10_start": _temperature,
    "algo.curriculum.start": _start,
    "algo.loss_type": _loss_type,
    "algo.time_conditioning": _time_conditioning,
    "data.insert_valid_eos": _valid_eos,
    "hydra.run.dir": _run_folder,
    "parameterization": _parameterization,
    "sampling.num_sample_batches": _no_samples,
    "sampling.predictor": _predictor,
    "time_conditioning": _time_conditioning,
}


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+")


def _value(text: str) -> str:
    value = text.partition("=")[2].strip("'\"")
    return value.lower() if value.lower() in ("true", "false") else value
