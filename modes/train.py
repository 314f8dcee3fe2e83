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

# What may differ between the start of a run and its continuation.
FREE = {
    "mode",
    "results_dir",
    "trainer",
    "loader",
    "checkpointing",
    "eval",
    "sampling",
    "benchmark",
    "wandb",
}


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    checkpoint = resumed(settings)
    if (
        checkpoint
        and read_checkpoint(checkpoint)["global_step"] >= settings["trainer"]["max_steps"]
    ):
        print(
            f"{checkpoint}: has trainer.max_steps={settings['trainer']['max_steps']} steps already"
        )
        return
    directory = Path(settings["checkpointing"]["save_dir"])
    loader, options = settings["loader"], settings["trainer"]
    name = f"{settings['algo']['name']} on {settings['data']['name']}"
    tokens = loader["global_batch_size"] * settings["model"]["length"]
    callbacks: list[L.Callback] = [Validation(), RunProgress(name, tokens)]
    if settings["training"]["ema"]:
        callbacks.insert(
            0, EMA(settings["training"]["ema"])
        )  # before what looks at the averaged weights
    every = settings["checkpointing"]["every_n_steps"]
    callbacks.append(Checkpoints(directory / "checkpoints", every, settings))
    trainer = build.trainer(settings, callbacks, fitting=True)
    data = build.data(settings, trainer.world_size)
    algorithm = build.algorithm(settings, data.tokenizer.vocab_size)
    if trainer.is_global_zero:
        write_config(directory, settings)
    started = time.monotonic()
    trainer.fit(algorithm, data, ckpt_path=checkpoint, weights_only=True)
    print(f"{name}: {options['max_steps']} steps, {time.monotonic() - started:.0f} s; {directory}")


def resumed(settings: build.Settings) -> Path | None:
    """The checkpoint to go on from; refuses to go on, or to begin anew, over a different run."""
    options = settings["checkpointing"]
    last = Path(options["save_dir"]) / "checkpoints" / LAST
    if not last.exists():
        return None
    if not options["resume_from_ckpt"]:
        raise ValueError(
            f"checkpointing.resume_from_ckpt=false: {last} would be lost; "
            f"choose another checkpointing.save_dir or move it away"
        )
    stored = flat(read_checkpoint(last)["config"])
    asked = flat(settings)
    for key in sorted(stored.keys() | asked.keys()):
        if key.split(".")[0] in FREE and key != "loader.global_batch_size":
            continue
        if stored.get(key) != asked.get(key):
            raise ValueError(
                f"checkpointing.save_dir={options['save_dir']}: the run there has "
                f"{key}={stored.get(key)}, not {asked.get(key)}; choose another "
                f"checkpointing.save_dir or the same setting"
            )
    return last


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
