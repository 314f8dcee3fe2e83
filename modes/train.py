"""mode=train: from nothing, from another run's weights, or from the last checkpoint of the same
run, to trainer.max_steps or for training.max_seconds."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.validation import Validation
from modes import build
from modes.checks.settings import starts_from
from modes.saved import tokenizer_name
from training import finetune
from training.checkpoint import LAST, Checkpoints, read_checkpoint
from training.clock import Clock, trained_seconds
from training.curve import CURVE, Curve
from training.ema import EMA
from training.memory import PeakMemory
from training.progress import RunProgress

# What may differ between the start of a run and its continuation: groups, and single keys.
FREE = {"mode", "results_dir", "trainer", "strategy", "callbacks", "checkpointing", "eval"}
FREE |= {"estimate", "sampling", "benchmark", "protocol", "oracle", "tensorboard", "wandb"}
FREE |= {"loader.batch_size", "loader.eval_batch_size", "training.max_seconds"}
FREE |= {"loader.num_workers", "data.cache_dir", "data.num_proc", "data.max_eval_blocks"}
FREE |= {"algo.corrects", "algo.predictors", "algo.noises"}  # what can be done with it
FREE |= {"model.attention", "model.activation_checkpointing", "model.compile"}
# What older runs do not say, and did.
UNSAID = {"training.finetune_ema": True}


class Start(NamedTuple):
    """The checkpoint to go on from, None for none; the step and the seconds trained so far."""

    checkpoint: Path | None
    step: int
    seconds: float


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    start = resumed(settings)
    directory = Path(settings["checkpointing"]["save_dir"])
    if has_finished(start, settings):
        print(f"{directory}: has {budget(settings)} already")
        return
    source = first_weights(settings)
    name = f"{settings['algo']['name']} on {settings['data']['name']}"
    clock = Clock(seconds_of(settings))
    decay = settings["training"]["ema"]
    # The average comes first: the callbacks after it look at averaged weights in validation.
    ema = EMA(decay) if decay else None
    callbacks: list[L.Callback] = [ema] if ema else []
    callbacks += watching(settings, clock, name, source and source.provenance)
    trainer = build.trainer(settings, callbacks, fitting=True)
    if clock.limit is not None:
        trainer.fit_loop.epoch_loop.max_steps = -1  # it lays out schedules, no more
    data = build.data(settings, trainer.world_size)
    algorithm = build.algorithm(settings, data.tokenizer.vocab_size)
    if ema:
        algorithm.average = lambda: ema.average
    report = begin(algorithm, source, settings, data.tokenizer) if source else []
    if trainer.is_global_zero:
        write_config(directory, settings)
        for line in report:
            print(line)
    trainer.fit(algorithm, data, ckpt_path=start.checkpoint, weights_only=True)
    if trainer.is_global_zero:
        taken = clock.seconds() - start.seconds
        print(f"{name}: {trainer.global_step} steps, {taken:.0f} s; {directory}")


def watching(
    settings: build.Settings, clock: Clock, name: str, origin: dict[str, Any] | None
) -> list[L.Callback]:
    """What looks on and writes down while a run trains."""
    tokens = settings["loader"]["global_batch_size"] * settings["model"]["length"]
    directory = Path(settings["checkpointing"]["save_dir"])
    every = settings["checkpointing"]["every_n_steps"]
    return [
        clock,
        Validation(),
        RunProgress(name, tokens, clock),
        Curve(directory / CURVE, tokens, clock.seconds),
        PeakMemory(),
        Checkpoints(directory / "checkpoints", every, settings, origin),
    ]


def seconds_of(settings: build.Settings) -> float | None:
    """The seconds of training that end a run; None where its steps do."""
    limit: float | None = settings["training"].get("max_seconds")  # older runs do not say
    return limit


def has_finished(start: Start, settings: build.Settings) -> bool:
    """Whether a run has all the steps, or all the seconds, that the settings ask for."""
    limit = seconds_of(settings)
    if limit is None:
        return start.step >= settings["trainer"]["max_steps"]
    return start.seconds >= limit


def budget(settings: build.Settings) -> str:
    """What ends a run, in words."""
    limit = seconds_of(settings)
    if limit is None:
        return f"trainer.max_steps={settings['trainer']['max_steps']} steps"
    return f"training.max_seconds={limit:g} seconds"


def first_weights(settings: build.Settings) -> finetune.Source | None:
    """Those of training.finetune_path, at the very first start of a run alone."""
    file = starts_from(settings)
    if file is None:
        return None
    return finetune.read_source(file, settings["training"]["finetune_ema"])


def begin(
    algorithm: Algorithm, source: finetune.Source, settings: build.Settings, tokenizer: Tokenizer
) -> list[str]:
    """Puts the weights in, and says in lines which; ValueError where they would mean something
    else here."""
    given = f"training.finetune_path={settings['training']['finetune_path']}"
    there, here = tokenizer_name(source.config["data"]), tokenizer_name(settings["data"])
    if there != here and digest_of(there, given) != tokenizer.digest:
        raise ValueError(
            f"{given}: the run there has data.tokenizer_name_or_path={there}, not {here}: "
            f"its tokens mean something else"
        )
    heads, own = source.config["model"]["n_heads"], settings["model"]["n_heads"]
    if heads != own:
        raise ValueError(
            f"{given}: the run there has model.n_heads={heads}, not {own}: "
            f"its attention would mean something else"
        )
    kind = "{algo}, step {steps}, {weights} weights".format_map(source.provenance)
    first, *rest = finetune.take(algorithm, source).report()
    return [f"{given} ({kind}): {first}", *rest]


def digest_of(tokenizer: str, given: str) -> str:
    """Of the tokenizer of the run to begin with, which need not be on this machine."""
    try:
        return make_tokenizer(tokenizer).digest
    except ValueError as error:
        raise ValueError(f"{given}: the tokenizer of the run there: {error}") from error


def resumed(settings: build.Settings) -> Start:
    """Where the run stands; refuses to go on, or to begin anew, over a different run."""
    options = settings["checkpointing"]
    last = Path(options["save_dir"]) / "checkpoints" / LAST
    if not last.exists():
        return Start(None, 0, 0.0)
    if not options["resume_from_ckpt"]:
        raise ValueError(
            f"checkpointing.resume_from_ckpt=false: {last} would be lost; "
            f"choose another checkpointing.save_dir or move it away"
        )
    checkpoint = read_checkpoint(last, "checkpointing.save_dir")
    stored, asked = UNSAID | flat(checkpoint["config"]), flat(settings)
    for key in sorted(stored.keys() | asked.keys()):
        if key not in FREE and key.split(".")[0] not in FREE and stored.get(key) != asked.get(key):
            raise ValueError(
                f"checkpointing.save_dir={options['save_dir']}: the run there has "
                f"{key}={stored.get(key)}, not {asked.get(key)}; choose another "
                f"checkpointing.save_dir or the same setting"
            )
    return Start(last, checkpoint["global_step"], trained_seconds(checkpoint) or 0.0)


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested keys with dots: what a user would write on the command line."""
    parts: dict[str, Any] = {}
    for key, value in settings.items():
        inner = (
            flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
        )
        parts |= inner
    return parts


def write_config(directory: Path, settings: build.Settings) -> None:
    """config.json of the run directory: the resolved configuration of its latest start."""
    directory.mkdir(parents=True, exist_ok=True)
    beside = directory / f".config.json.{os.getpid()}"
    beside.write_text(json.dumps(settings, indent=2) + "\n")
    beside.replace(directory / "config.json")
