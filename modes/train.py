"""mode=train: from nothing, or from the last checkpoint of the same run, to trainer.max_steps."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L

from evaluation.validation import Validation
from modes import build
from training.checkpoint import LAST, Checkpoints, read_checkpoint
from training.ema import EMA
from training.progress import RunProgress

# What may differ between the start of a run and its continuation: groups, and single keys.
FREE = {"mode", "results_dir", "trainer", "strategy", "callbacks", "checkpointing", "eval"}
FREE |= {"sampling", "benchmark", "wandb", "loader.batch_size", "loader.eval_batch_size"}
FREE |= {"loader.num_workers", "data.cache_dir", "data.num_proc", "data.max_eval_blocks"}
FREE |= {"model.attention", "model.activation_checkpointing", "model.compile"}


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    checkpoint, step = resumed(settings)
    directory = Path(settings["checkpointing"]["save_dir"])
    last_step = settings["trainer"]["max_steps"]
    if step >= last_step:
        print(f"{directory}: has trainer.max_steps={last_step} steps already")
        return
    name = f"{settings['algo']['name']} on {settings['data']['name']}"
    tokens = settings["loader"]["global_batch_size"] * settings["model"]["length"]
    decay, every = settings["training"]["ema"], settings["checkpointing"]["every_n_steps"]
    # The average comes first: the callbacks after it look at averaged weights in validation.
    callbacks: list[L.Callback] = [EMA(decay)] if decay else []
    callbacks += [Validation(), RunProgress(name, tokens)]
    callbacks += [Checkpoints(directory / "checkpoints", every, settings)]
    trainer = build.trainer(settings, callbacks, fitting=True)
    data = build.data(settings, trainer.world_size)
    algorithm = build.algorithm(settings, data.tokenizer.vocab_size)
    if trainer.is_global_zero:
        write_config(directory, settings)
    started = time.monotonic()
    trainer.fit(algorithm, data, ckpt_path=checkpoint, weights_only=True)
    if trainer.is_global_zero:
        print(f"{name}: {last_step} steps, {time.monotonic() - started:.0f} s; {directory}")


def resumed(settings: build.Settings) -> tuple[Path | None, int]:
    """The checkpoint to go on from and its step; refuses to go on, or to begin anew, over a
    different run."""
    options = settings["checkpointing"]
    last = Path(options["save_dir"]) / "checkpoints" / LAST
    if not last.exists():
        return None, 0
    if not options["resume_from_ckpt"]:
        raise ValueError(
            f"checkpointing.resume_from_ckpt=false: {last} would be lost; "
            f"choose another checkpointing.save_dir or move it away"
        )
    checkpoint = read_checkpoint(last)
    stored, asked = flat(checkpoint["config"]), flat(settings)
    for key in sorted(stored.keys() | asked.keys()):
        if key not in FREE and key.split(".")[0] not in FREE and stored.get(key) != asked.get(key):
            raise ValueError(
                f"checkpointing.save_dir={options['save_dir']}: the run there has "
                f"{key}={stored.get(key)}, not {asked.get(key)}; choose another "
                f"checkpointing.save_dir or the same setting"
            )
    return last, checkpoint["global_step"]


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
