"""Combinations of keys of several nodes that the configuration alone shows to be wrong, within the
first second of a command; each node checks its own values."""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from algos.facts import FACTS, canonical, facts_of
from algos.settings import BD3LM, D3PM, DUO, DUODistill, check_block_size
from data.prompts import check_tasks_early
from hub.export_folder import check_replaceable
from hub.sources import LAST, check_source
from modes.checks.loggers import check_loggers
from modes.checks.machine import check_machine, check_sharding
from modes.checks.oracle import check_oracle
from modes.checks.sweep import check_plotting, points
from modes.settings import Settings
from samplers.check import check_eval_order, check_ordered_run, check_sampling
from samplers.settings import Sampling

OF_A_RUN = ("ppl_eval", "sample_eval", "downstream", "export")
HUB_NAME = r"[\w-][\w.-]*(/[\w-][\w.-]*)?"
TEXTS = (".json", ".jsonl", ".txt")
# Keys of sampling that play a part where texts come from a file; nothing is drawn then.
OF_TEXTS = re.compile(r"sampling\.(texts|show|self_correction\w*)")


def check(settings: Settings, overridden: Collection[str], called: str | None = None) -> None:
    """ValueError naming the key, the value and what is allowed; `overridden` are keys of the
    command line, `called` is the name by which the user called the algorithm."""
    if called is not None:
        settings = replace(settings, algo=replace(settings.algo, name=called))
    check_pairs(settings, overridden)
    check_training(settings, overridden)
    check_export(settings)
    check_scorer(settings.eval.gen_ppl_eval_model_name_or_path)
    check_sharding(settings)
    check_machine(settings)
    if settings.mode == "train" and not settings.estimate:
        starts_from(settings)
        check_loggers(settings)
    if settings.mode == "oracle" and not settings.eval.checkpoint_path:
        check_oracle(settings)  # with a run it is the run's data that count
    if settings.sampling.sweep:
        check_sweep(settings, overridden)


def check_checkpoint(settings: Settings) -> None:
    """FileNotFoundError where the run or model to examine is not there."""
    if settings.eval.checkpoint_path and settings.mode in (*OF_A_RUN, "oracle", "audit"):
        check_source(settings.eval.checkpoint_path, "eval.checkpoint_path")


def check_sweep(settings: Settings, overridden: Collection[str]) -> None:
    """Every point of it is held to what a single command with it would be."""
    check_plotting()
    for point in points(settings.sampling):
        check(replace(settings, sampling=replace(point, sweep=None)), overridden)


def check_pairs(settings: Settings, overridden: Collection[str]) -> None:
    """Combinations that make no sense."""
    algo, sampling = settings.algo, settings.sampling
    order, length, mode = settings.eval.order, settings.model.length, settings.mode
    if order is not None:
        check_eval_order(order, mode, sampling)
        if "algo" in overridden:
            check_ordered_run(algo, order, sampling, length)
    # An evaluation takes the algorithm from its run, unless the command line says which it must be.
    elif mode == "train" or "algo" in overridden:
        check_sampling(algo, sampling)
    if mode in ("train", "oracle", "benchmark") and isinstance(settings.algo, BD3LM):
        check_block_size(settings.algo.block_size, length)
    if "protocol" in overridden and mode not in ("ppl_eval", "benchmark"):
        raise ValueError(
            f"protocol={settings.protocol.name}: mode=ppl_eval measures by it, not mode={mode}"
        )
    check_tasks_early(sampling)
    check_texts(sampling, overridden)
    noise, called = settings.noise.name, algo.name
    schedules = facts_of(canonical(called)).noise_schedules
    if any(key.split(".")[0] == "noise" for key in overridden) and noise not in schedules:
        allowed = [*schedules] or "no noise key: its own parameters set it"
        raise ValueError(f"noise={noise}: algo={called} takes {allowed}")
    if mode in OF_A_RUN and not settings.eval.checkpoint_path:
        raise ValueError(f"eval.checkpoint_path: mode={mode} needs a run directory or a checkpoint")


def check_export(settings: Settings) -> None:
    """The folder of an export is named, and holds nothing that would be lost."""
    if settings.mode != "export":
        return
    if settings.export.path is None:
        raise ValueError("export.path: mode=export needs the folder to write")
    check_replaceable(Path(settings.export.path), "export.path")


def check_training(settings: Settings, overridden: Collection[str]) -> None:
    """Refuses what the algorithm cannot use in training, and the lack of what it needs."""
    algo, training = settings.algo, settings.training
    if (
        isinstance(algo, DUO)
        and algo.curriculum_steps is not None
        and "algo.curriculum_share" in overridden
    ):
        raise ValueError(
            f"algo.curriculum_share={algo.curriculum_share}: "
            f"algo.curriculum_steps={algo.curriculum_steps} says the step of the switch already; "
            f"algo.curriculum_steps=null leaves it to the share"
        )
    if isinstance(algo, D3PM | BD3LM) and training.sampling_eps is not None:
        times = "between algo.sampling_eps_min and algo.sampling_eps_max"
        times = "from the grid that algo.T sets" if isinstance(algo, D3PM) else times
        given = f"training.sampling_eps={training.sampling_eps}"
        raise ValueError(f"{given}: algo={algo.name} draws its times {times}")
    if isinstance(algo, DUODistill) and algo.teacher == "averaged" and not training.ema:
        raise ValueError("algo.teacher=averaged: needs training.ema above 0")
    rows = {"train": [algo.name], "benchmark": settings.benchmark.algos}
    for name in rows.get(settings.mode, []):
        facts = FACTS.get(canonical(name))  # an unknown one is refused where it is composed
        if facts is not None and facts.has_teacher and not training.finetune_path:
            raise ValueError(
                f"training.finetune_path: algo={name} needs the run of its teacher, "
                f"such as one of algo=duo"
            )


def check_scorer(scorer: str | None) -> None:
    """A scorer that is named as a path is there; anything else may be a Hub name (owner/name)."""
    if scorer is None or Path(scorer).exists():
        return
    if not re.fullmatch(HUB_NAME, scorer) or scorer.endswith((".ckpt", ".pt")):
        raise FileNotFoundError(
            f"eval.gen_ppl_eval_model_name_or_path={scorer}: there is no such run directory, "
            f"checkpoint or folder, and it is no Hub name"
        )


def check_texts(sampling: Sampling, overridden: Collection[str]) -> None:
    """A file of texts to correct is there, and nothing is said of it that is for drawing."""
    if sampling.texts is None:
        return
    named, file = f"sampling.texts={sampling.texts}", Path(sampling.texts)
    if not sampling.self_correction:
        raise ValueError(f"{named}: needs sampling.self_correction, the steps of correction")
    for key in sorted(overridden):
        if key.startswith("sampling.") and not OF_TEXTS.fullmatch(key):
            raise ValueError(f"{key}: plays no part with {named}, nothing is drawn")
    if file.suffix not in TEXTS:
        raise ValueError(f"{named}: a file that ends in {', '.join(TEXTS)} is needed")
    if not file.is_file():
        raise FileNotFoundError(f"{named}: there is no such file")


def starts_from(settings: Settings) -> str | None:
    """The run, checkpoint or published model that this run begins with; None for a run from
    nothing, and for one that goes on from its own last checkpoint.

    ValueError for the run itself, FileNotFoundError where there is none."""
    start, save_dir = settings.training.finetune_path, settings.checkpointing.save_dir
    if not start:
        return None
    path, folder = Path(start).expanduser(), Path(save_dir) / "checkpoints"
    file = path / LAST if path.is_dir() else path
    if path.resolve() == Path(save_dir).resolve() or file.resolve().parent == folder.resolve():
        raise ValueError(
            f"training.finetune_path={start}: that is this run itself; choose another one, or "
            f"another checkpointing.save_dir"
        )
    if (folder / "last.ckpt").exists():
        return None
    check_source(start, "training.finetune_path")
    return str(start)
