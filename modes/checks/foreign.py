"""Keys of s-sahoo/duo and kuleshov-group/mdlm: what is the same here is taken, the rest is refused
with our key. Only the standard library; docs/coming-from.md has whole commands."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from algos.facts import canonical, same_algorithm
from modes.checks.arguments import overrides_of

TABLES = tomllib.loads(Path(__file__).with_name("foreign_keys.toml").read_text("utf-8"))
TAKEN, LEFT_OUT, REFUSED = (TABLES[name] for name in ("taken", "left_out", "refused"))

Overrides = Mapping[str, str]
Outcome = tuple[dict[str, str], str] | None  # the table that has it, and what stands there


class Translation(NamedTuple):
    """Arguments as they are said here, and lines for what was taken, left out and refused."""

    arguments: list[str]
    notes: list[str]
    refused: list[str]


def translate(arguments: Sequence[str]) -> Translation:
    typed = overrides_of(arguments)
    overrides = dict(map(_parts, typed))
    translation = Translation([], [], [])
    for text in arguments:
        found = outcome(*_parts(text), overrides) if text in typed else None
        table, ours = found or (None, "")
        if table is TAKEN:
            value = text.partition("=")[2]
            same = [part.replace("{}", value) for part in ours.split()]
            translation.arguments.extend(same)
            translation.notes.append(f"{text}: taken as {' '.join(same)}")
        elif table is LEFT_OUT:
            translation.notes.append(f"{text}: left out, {ours}")
        elif table is REFUSED:
            translation.refused.append(
                f"{text.lstrip('+')}: not a key or value here; instead: {ours}"
            )
        else:
            translation.arguments.append(text)
    return translation


def outcome(key: str, value: str, overrides: Overrides) -> Outcome:
    """The outcome of a foreign key with its value; None for a key that is this suite's own."""
    key = TABLES["older"].get(key, key)
    if key in SPECIAL and (special := SPECIAL[key](value, overrides)) is not None:
        return special
    groups = key.split(".")
    above = [f"{'.'.join(groups[:depth])}.*" for depth in range(len(groups) - 1, 0, -1)]
    for name in (f"{key}={value}", key, *above):
        for table in (TAKEN, LEFT_OUT, REFUSED):
            if name in table:
                return table, table[name]
    return None


def algorithm(overrides: Overrides) -> str | None:
    """The algorithm that the command line says; None where a recipe does."""
    if "algo" in overrides:
        return canonical(overrides["algo"])
    if "experiment" in overrides:
        return None
    named = overrides.get("parameterization", "subs")
    return named if named in ("ar", "d3pm", "sedd") else "mdlm"


def _parameterization(value: str, overrides: Overrides) -> Outcome:
    named = {"subs": "mdlm"}.get(value, value)
    if "algo" in overrides and same_algorithm(overrides["algo"], named):
        return LEFT_OUT, "algo= says it"
    return None


def _discrete_steps(value: str, overrides: Overrides) -> Outcome:
    """T of both: D3PM's here alone, and the grid of a distillation."""
    name = algorithm(overrides)
    if name is None or name == "d3pm":
        return (TAKEN, "algo.T={}") if "T" in overrides else None
    if name == "duo_distill":
        return TAKEN, "algo.grid={}"
    if value == "0":
        return LEFT_OUT, f"algo={name} has continuous time"
    return REFUSED, "algo=d3pm with algo.T=1000; the others have continuous time"


def _time_conditioning(value: str, overrides: Overrides) -> Outcome:
    name = algorithm(overrides)
    if name is None or name == "mdlm":
        return (TAKEN, "algo.time_conditioning={}") if "time_conditioning" in overrides else None
    if (value == "true") != (name == "ar"):
        return LEFT_OUT, f"algo={name} {'needs none' if name == 'ar' else 'has it'}"
    return REFUSED, "algo=mdlm alone has the choice, algo.time_conditioning"


def _loss_type(value: str, overrides: Overrides) -> Outcome:
    if value == "elbo" and algorithm(overrides) == "mdlm":
        return TAKEN, "algo.loss_type=bound"
    return None


def _temperature(value: str, overrides: Overrides) -> Outcome:
    """The two ends of a temperature in powers of ten: one here, where they agree."""
    ends = {text for key, text in overrides.items() if "gumbel_tau_log10" in key}
    try:
        (tau,) = {float(end) for end in ends}
    except ValueError:
        return None
    return TAKEN, f"algo.tau={10**tau:g}"


def _run_folder(value: str, overrides: Overrides) -> Outcome:
    """That of a run; the working directory is what Lightning tells the processes it starts."""
    return None if value == "." else (TAKEN, "checkpointing.save_dir={}")


def _valid_eos(value: str, overrides: Overrides) -> Outcome:
    return (TAKEN, "data.insert_eos={}") if overrides.get("mode") == "ppl_eval" else None


def _no_samples(value: str, overrides: Overrides) -> Outcome:
    draws = overrides.get("mode") == "sample_eval"
    return (LEFT_OUT, "mode=sample_eval alone draws") if value == "0" and not draws else None


def _predictor(value: str, overrides: Overrides) -> Outcome:
    """Their sampler of a window, where windows are what is asked for."""
    windows = overrides.get("sampling.semi_ar") == "true" and value.startswith("ddpm")
    return (LEFT_OUT, "the windows of sampling.predictor=semi_ar have it") if windows else None


SPECIAL: dict[str, Callable[[str, Overrides], Outcome]] = {
    "T": _discrete_steps,
    "algo.T": _discrete_steps,
    "algo.curriculum.gumbel_tau_log10_end": _temperature,
    "algo.curriculum.gumbel_tau_log10_start": _temperature,
    "algo.loss_type": _loss_type,
    "algo.time_conditioning": _time_conditioning,
    "data.insert_valid_eos": _valid_eos,
    "hydra.run.dir": _run_folder,
    "parameterization": _parameterization,
    "sampling.num_sample_batches": _no_samples,
    "sampling.predictor": _predictor,
    "time_conditioning": _time_conditioning,
}


def _parts(text: str) -> tuple[str, str]:
    """Key and value of an override."""
    key, _, value = text.partition("=")
    value = value.strip("'\"")
    return key.lstrip("+"), value.lower() if value.lower() in ("true", "false") else value
