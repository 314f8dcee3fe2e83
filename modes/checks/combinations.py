"""Combinations of keys of several nodes that the configuration alone shows to be wrong, within the
first second of a command; each node checks its own values."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from algos.facts import FACTS, facts_of
from data.prompts import check_tasks_early
from modes.checks.loggers import check_loggers
from modes.checks.names import canonical
from modes.checks.oracle import check_oracle
from modes.checks.samplers import check_sampling
from modes.checks.sources import LAST, check_source
from modes.checks.sweep import check_plotting, points

Settings = dict[str, Any]

OF_A_RUN = ("ppl_eval", "sample_eval", "downstream")
HUB_NAME = r"[\w-][\w.-]*(/[\w-][\w.-]*)?"
TEXTS = (".json", ".jsonl", ".txt")
OF_DRAWING = (  # what plays no part where texts come from a file
    "sampling.predictor",
    "sampling.steps",
    "sampling.grid",
    "sampling.length",
    "sampling.stride",
    "sampling.temperature",
    "sampling.top_k",
    "sampling.p_nucleus",
    "sampling.nucleus",
    "sampling.min_p",
    "sampling.draws",
    "sampling.noise_removal",
    "sampling.prompt",
    "sampling.infill",
    "sampling.tasks",
    "sampling.guidance",
    "sampling.sweep",
    "sampling.animate",
    "sampling.num_sample_batches",
)


def check(settings: Settings, given: Collection[str], typed: str | None = None) -> None:
    """ValueError naming the key, the value and what is allowed; `given` are the overridden keys,
    `typed` is the name by which the user called the algorithm."""
    if typed is not None:
        settings = settings | {"algo": settings["algo"] | {"name": typed}}
    check_pairs(settings, given)
    check_training(settings, given)
    check_judge(settings)
    if settings["mode"] == "train" and not settings["estimate"]:
        starts_from(settings)
        check_loggers(settings)
    if settings["mode"] == "oracle" and not settings["eval"]["checkpoint_path"]:
        check_oracle(settings)  # with a run it is the run's data that count
    if settings["sampling"]["sweep"]:
        check_sweep(settings, given)


def check_sweep(settings: Settings, given: Collection[str]) -> None:
    """Every point of it is held to what a single command with it would be."""
    check_plotting()
    alone = settings["sampling"] | {"sweep": None}
    points(
        settings["sampling"]["sweep"],
        alone,
        lambda point: check(settings | {"sampling": point}, given),
    )


def check_pairs(settings: Settings, given: Collection[str]) -> None:
    """Combinations that make no sense."""
    algo = settings["algo"]
    # An evaluation takes the algorithm from its run, unless the command line says which it must be.
    if settings["mode"] == "train" or "algo" in given:
        check_sampling(algo, settings["sampling"])
    if "protocol" in given and settings["mode"] not in ("ppl_eval", "benchmark"):
        raise ValueError(
            f"protocol={settings['protocol']['name']}: mode=ppl_eval measures by it, not "
            f"mode={settings['mode']}"
        )
    check_tasks_early(settings["sampling"])
    check_texts(settings["sampling"], given)
    noise = settings["noise"]["name"]
    schedules = facts_of(canonical(algo["name"])).noise_schedules
    if any(key.split(".")[0] == "noise" for key in given) and noise not in schedules:
        allowed = [*schedules] or "no noise key: its own parameters set it"
        raise ValueError(f"noise={noise}: algo={algo['name']} takes {allowed}")
    if settings["mode"] in OF_A_RUN and not settings["eval"]["checkpoint_path"]:
        raise ValueError(
            f"eval.checkpoint_path: mode={settings['mode']} needs a run directory or a checkpoint"
        )


def check_training(settings: Settings, given: Collection[str]) -> None:
    """What an algorithm needs or cannot use in training."""
    algo, training = settings["algo"], settings["training"]
    steps, share = algo.get("curriculum_steps"), algo.get("curriculum_share")
    if steps is not None and "algo.curriculum_share" in given:
        raise ValueError(
            f"algo.curriculum_share={share}: algo.curriculum_steps={steps} says the step of the "
            f"switch already; algo.curriculum_steps=null leaves it to the share"
        )
    if "T" in algo and training["sampling_eps"] is not None:
        raise ValueError(
            f"training.sampling_eps={training['sampling_eps']}: "
            f"algo={algo['name']} draws its times from the grid that algo.T sets"
        )
    if algo.get("teacher") == "averaged" and not training["ema"]:
        raise ValueError("algo.teacher=averaged: needs training.ema above 0")
    rows = {"train": [algo["name"]], "benchmark": settings["benchmark"]["algos"]}
    for name in rows.get(settings["mode"], []):
        facts = FACTS.get(canonical(name))  # an unknown one is refused where it is composed
        if facts is not None and facts.has_teacher and not training["finetune_path"]:
            raise ValueError(
                f"training.finetune_path: algo={name} needs the run of its teacher, "
                f"such as one of algo=duo"
            )


def check_judge(settings: Settings) -> None:
    """A judge that is named as a path is there; anything else may be a Hub name (owner/name)."""
    judge = settings["eval"]["gen_ppl_eval_model_name_or_path"]
    if judge is None or Path(judge).exists():
        return
    if not re.fullmatch(HUB_NAME, judge) or judge.endswith((".ckpt", ".pt")):
        raise FileNotFoundError(
            f"eval.gen_ppl_eval_model_name_or_path={judge}: there is no such run directory, "
            f"checkpoint or folder, and it is no Hub name"
        )


def check_texts(sampling: Settings, given: Collection[str]) -> None:
    """A file of texts to correct is there, and nothing is said of it that is for drawing."""
    if sampling["texts"] is None:
        return
    named, file = f"sampling.texts={sampling['texts']}", Path(sampling["texts"])
    if not sampling["self_correction"]:
        raise ValueError(f"{named}: needs sampling.self_correction, the steps of correction")
    for key in OF_DRAWING:
        if key in given:
            raise ValueError(f"{key}: plays no part with {named}, nothing is drawn")
    if file.suffix not in TEXTS:
        raise ValueError(f"{named}: a file that ends in {', '.join(TEXTS)} is needed")
    if not file.is_file():
        raise FileNotFoundError(f"{named}: there is no such file")


def starts_from(settings: Settings) -> str | None:
    """The run, checkpoint or published model that this run begins with; None for a run from
    nothing, and for one that goes on from its own last checkpoint.

    ValueError for the run itself, FileNotFoundError where there is none."""
    given, own = settings["training"]["finetune_path"], settings["checkpointing"]["save_dir"]
    if not given:
        return None
    path, folder = Path(given).expanduser(), Path(own) / "checkpoints"
    file = path / LAST if path.is_dir() else path
    if path.resolve() == Path(own).resolve() or file.resolve().parent == folder.resolve():
        raise ValueError(
            f"training.finetune_path={given}: that is this run itself; choose another one, or "
            f"another checkpointing.save_dir"
        )
    if (folder / "last.ckpt").exists():
        return None
    check_source(given, "training.finetune_path")
    return str(given)
