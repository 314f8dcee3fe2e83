"""A trained run, rebuilt from its checkpoint for evaluation, and what a record says of it."""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from algos.base import Algorithm
from evaluation import records
from modes import build
from training.checkpoint import LAST, load_weights, read_checkpoint

TAKEN_FROM_RUN = ("algo", "model", "noise", "training")
SET_BY_EVALUATION = ("mode", "eval", "sampling", "results_dir")  # the rest of a record is the run's


class Saved(NamedTuple):
    """A checkpoint with the settings to evaluate it: the run's own where they made it, the user's
    elsewhere."""

    checkpoint: dict[str, Any]
    file: Path
    settings: build.Settings


def open_run(settings: build.Settings, overrides: list[str]) -> Saved:
    """Reads eval.checkpoint_path; refuses an algo or model on the command line that is not the
    run's."""
    path = Path(settings["eval"]["checkpoint_path"])
    checkpoint = read_checkpoint(path)
    stored = checkpoint["config"]
    given = {text.lstrip("+~").partition("=")[0] for text in overrides}
    merged = settings | {key: stored[key] for key in TAKEN_FROM_RUN}
    for key in sorted(given & {"algo", "model", "algo.name", "model.name"}):
        group = key.removesuffix(".name")
        asked, has = settings[group]["name"], stored[group]["name"]
        if asked != has:
            raise ValueError(f"{group}={asked}: the run at {path} has {group}={has}")
    if "model.length" in given:
        merged["model"] = stored["model"] | {"length": shorter(settings, stored)}
    merged["data"] = data_settings(settings, stored, given)
    return Saved(checkpoint, path / "checkpoints" / LAST if path.is_dir() else path, merged)


def data_settings(
    settings: build.Settings, stored: build.Settings, given: set[str]
) -> dict[str, Any]:
    """The text of the run, or the one that data=... names, with single data keys as given; always
    the run's tokenizer."""
    chosen = dict(settings["data"] if "data" in given else stored["data"])
    for key in given:
        group, _, name = key.partition(".")
        if group == "data" and name:
            chosen[name] = settings["data"].get(name)
    if "data.tokenizer_name_or_path" not in given:
        chosen["tokenizer_name_or_path"] = stored["data"]["tokenizer_name_or_path"]
    return chosen


def shorter(settings: build.Settings, stored: build.Settings) -> int:
    asked, trained = settings["model"]["length"], stored["model"]["length"]
    if asked > trained:
        raise ValueError(f"model.length={asked}: the run was trained with {trained}, at most that")
    return asked


def restore(saved: Saved, vocab_size: int) -> Algorithm:
    """The algorithm with the checkpoint's weights: averaged ones unless eval.disable_ema."""
    algorithm = build.algorithm(saved.settings, vocab_size)
    averaged = not saved.settings["eval"]["disable_ema"]
    try:
        load_weights(algorithm, saved.checkpoint, averaged)
    except ValueError as error:
        raise ValueError(f"eval.checkpoint_path={saved.file}: {error}") from error
    return algorithm.eval()


def digest(file: Path) -> str:
    """sha256 of a checkpoint file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def evidence(saved: Saved, algorithm: Algorithm, started: float) -> dict[str, Any]:
    """The fields of a record that do not depend on what was measured; `started` is
    time.monotonic()."""
    settings, stored = saved.settings, saved.checkpoint["config"]
    steps = saved.checkpoint["global_step"]
    head = algorithm.backbone.head
    parameters = sum(p.numel() for p in algorithm.parameters())
    return {
        "algo": settings["algo"]["name"],
        "network": {
            "name": settings["model"]["name"],
            "parameters": parameters,
            "vocab_size": algorithm.vocab_size,
            "outputs": head.out_features,
        },
        "training": {
            "corpus": stored["data"]["name"],
            "steps": steps,
            "tokens": steps * stored["loader"]["global_batch_size"] * stored["model"]["length"],
            "seed": stored["seed"],
            "averaged_weights": "ema" in saved.checkpoint and not settings["eval"]["disable_ema"],
            "checkpoint_digest": digest(saved.file),
            "checkpoint": str(saved.file),
        },
        "seed": stored["seed"],
        "commit": records.commit(),
        "hardware": records.hardware(),
        "wall_time_s": time.monotonic() - started,
        "peak_memory_bytes": records.peak_memory_bytes(),
        "config": stored | {key: settings[key] for key in SET_BY_EVALUATION},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
