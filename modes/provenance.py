"""The fields of a record that say what was evaluated, with what and where."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from algos.base import Algorithm
from evaluation import records
from evaluation.commit import commit_kept
from hub.imported_model import ImportedModel
from modes.run_settings import SET_BY_EVALUATION
from modes.settings import Settings, stored
from modes.trained_run import TrainedRun, averaged
from training.checkpoint import DIGESTS, tokens_seen
from training.memory import peak_memory_bytes


def provenance(
    run: TrainedRun, algorithm: Algorithm, started: float, device: torch.device
) -> dict[str, Any]:
    """The fields of a record that do not depend on the measured value; `started` is
    time.monotonic(), `device` computed (Lightning takes the network back to the CPU)."""
    settings, asked = run.settings, stored(run.settings)
    return {
        "algo": settings.algo.name,
        "network": {
            "name": settings.model.name,
            "parameters": sum(weights.numel() for weights in algorithm.parameters()),
            "vocab_size": algorithm.vocab_size,
            "outputs": algorithm.backbone.head.out_features,
        },
        "training": training_of(run)
        | {"checkpoint_digest": run.digest, "checkpoint": str(run.file)}
        | (algorithm.training_facts() if run.model is None else {}),
        "seed": run.stored["seed"],
        "config": run.stored | {key: asked[key] for key in SET_BY_EVALUATION},
    } | _circumstances(settings.results, started, device)


def training_of(run: TrainedRun) -> dict[str, Any]:
    """The training of a run, and of a published model as far as its files say, and which it is."""
    about = {"corpus": run.stored["data"]["name"], "averaged_weights": averaged(run)}
    if run.model is not None:
        return about | _of_model(run.model)
    return about | {
        "steps": run.checkpoint["global_step"],
        "tokens": tokens_seen(run.checkpoint),
        "seed": run.stored["seed"],
        "finetuned_from": run.checkpoint.get("finetuned_from"),
        "digests": run.checkpoint.get(DIGESTS),
    }


def _of_model(model: ImportedModel) -> dict[str, Any]:
    return {
        "steps": model.steps,
        "tokens": model.tokens,
        "seed": None,
        "finetuned_from": None,
        "source": {
            "name": model.source,
            "format": model.format,
            "revision": model.revision,
            "published": model.published,
        },
    }


def untrained(
    algo: str, network: str, settings: Settings, started: float, device: torch.device
) -> dict[str, Any]:
    """The same fields of a network that nobody trained."""
    return {
        "algo": algo,
        "network": {"name": network, "parameters": 0},
        "training": {"steps": None, "tokens": None, "checkpoint_digest": None},
        "config": stored(settings),
    } | _circumstances(settings.results, started, device)


def _circumstances(results: Path, started: float, device: torch.device) -> dict[str, Any]:
    return {
        "commit": commit_kept(results),
        "hardware": records.hardware(device),
        "wall_time_s": time.monotonic() - started,
        "peak_memory_bytes": peak_memory_bytes(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
