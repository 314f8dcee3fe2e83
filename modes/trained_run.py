"""A trained run, rebuilt from its checkpoint for evaluation, and its provenance in a record."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from algos.base import Algorithm
from data.module import TokenDataModule
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation import records
from modes import build
from modes.checks.folders import check_writable
from modes.checks.names import same_algorithm
from training.checkpoint import (
    BEST,
    DIGESTS,
    LAST,
    checkpoint_file,
    digest,
    load_weights,
    read_checkpoint,
    tokens_seen,
)
from training.memory import peak_memory_bytes

TAKEN_FROM_RUN = ("algo", "model", "noise", "training")
# Keys of data that leave the text as it is.
SAME_TEXT = {f"data.{key}" for key in ("cache_dir", "num_proc", "verify", "max_eval_blocks")}
SAME_TEXT |= {f"data.{key}" for key in ("packing", "framing", "drop_last", "crop", "insert_eos")}
SAME_TEXT |= {"data.tokenizer_name_or_path", "data.name"}
# The rest of the configuration in a record is the run's.
SET_BY_EVALUATION = ("mode", "eval", "protocol", "sampling", "oracle", "results_dir")


class TrainedRun(NamedTuple):
    """A checkpoint with the settings to evaluate it: the run's own where they made it, the user's
    elsewhere."""

    checkpoint: dict[str, Any]
    file: Path
    digest: str  # of the file as it was read: a run that goes on replaces it
    settings: build.Settings
    own_text: bool = False  # whether it is evaluated on the text that its configuration names


def open_run(
    settings: build.Settings, overrides: list[str], key: str = "eval.checkpoint_path"
) -> TrainedRun:
    """The run at eval.checkpoint_path, whose setting is called `key` in messages; ValueError for an
    algo or model on the command line that is not the run's."""
    path = Path(settings["eval"]["checkpoint_path"])
    checkpoint, file = read_checkpoint(path, key), checkpoint_file(path)
    mark = digest(file)
    stored, given = checkpoint["config"], keys_of(overrides)
    for name in sorted(given & {"algo", "model", "algo.name", "model.name"}):
        group = name.removesuffix(".name")
        asked, has = settings[group]["name"], stored[group]["name"]
        if not same_algorithm(asked, has):
            typed = [text for text in overrides if text.lstrip("+").startswith(f"{name}=")]
            raise ValueError(f"{typed[-1]}: the run at {path} has {group}={has}")
    own_text = not any(key.split(".")[0] == "data" and key not in SAME_TEXT for key in given)
    return TrainedRun(checkpoint, file, mark, merged(settings, stored, given), own_text)


def run_directory(file: Path) -> Path | None:
    """The run directory that a checkpoint file is a part of; None for one that lies alone."""
    run = file.parent.parent
    known = file.name in (LAST, BEST) or (run / "config.json").is_file()
    return run if file.parent.name == "checkpoints" and known else None


def output_directory(run: TrainedRun) -> Path:
    """The folder of samples and answers: eval.output_dir, the run directory, or a folder beside a
    checkpoint that lies alone, of its name."""
    directory = run.settings["eval"]["output_dir"]
    if directory is not None:
        return Path(directory)
    return run_directory(run.file) or run.file.with_name(f"{run.file.stem}-output")


def check_output(run: TrainedRun) -> None:
    """OSError where samples and answers cannot be written."""
    check_writable(output_directory(run), "eval.output_dir")


def keys_of(overrides: list[str]) -> set[str]:
    """The keys on the command line."""
    return {text.lstrip("+~").partition("=")[0] for text in overrides}


def merged(settings: build.Settings, stored: build.Settings, given: set[str]) -> build.Settings:
    """The settings of an evaluation: those that made the run are `stored`, the text too unless the
    command line names one, single keys are as given."""
    result = settings | {key: stored[key] for key in TAKEN_FROM_RUN}
    if "model.length" in given:
        asked, trained = settings["model"]["length"], stored["model"]["length"]
        if asked > trained:
            raise ValueError(
                f"model.length={asked}: the run was trained with {trained}, at most that"
            )
        result["model"] = stored["model"] | {"length": asked}
    return result | {"data": data_settings(settings, stored, given)}


def data_settings(
    settings: build.Settings, stored: build.Settings, given: set[str]
) -> dict[str, Any]:
    """The text of the run, or the one that data=... names, with single data keys as given; always
    the run's tokenizer."""
    data = dict(settings["data"] if "data" in given else stored["data"])
    for key in given:
        group, _, name = key.partition(".")
        if group == "data" and name:
            data[name] = settings["data"].get(name)
    if "data.tokenizer_name_or_path" not in given:
        data["tokenizer_name_or_path"] = tokenizer_name(stored["data"])
    return data


def tokenizer_name(data: dict[str, Any]) -> str:
    """The tokenizer of a run by its settings; a language of symbols has its own."""
    return data["tokenizer_name_or_path"] or f"symbols:{data['states']}"


def data_digests(data: TokenDataModule) -> dict[str, Any]:
    """The digests of the data of a run: each split of its corpus, and the tokenizer."""
    return {"corpus": dict(data.corpus_digests), "tokenizer": data.tokenizer.digest}


def differing_data(stored: dict[str, Any], data: TokenDataModule) -> str | None:
    """The first of the tokenizer and the splits at hand whose content is not that of a run, in
    words; None where all are."""
    if stored["tokenizer"] != data.tokenizer.digest:
        return f"tokenizer than {data.tokenizer.name}"
    for split, content in data.corpus_digests.items():
        if stored["corpus"].get(split) != content:
            return f"{split} text than data={data.name}"
    return None


def open_tokenizer(run: TrainedRun) -> Tokenizer:
    """The run's tokenizer; ValueError where the one of its name has another content by now."""
    tokenizer = make_tokenizer(tokenizer_name(run.settings["data"]))
    _check_tokenizer(run, tokenizer)
    return tokenizer


def open_data(run: TrainedRun) -> TokenDataModule:
    """The text to evaluate on, under the run's tokenizer; ValueError where either has the run's
    name for it, and another content. Each rank takes its share of the blocks itself."""
    try:
        data = build.data(run.settings, devices=1)
        text = data.corpus.digest("valid") if run.own_text else None
    except FileNotFoundError as error:
        if not run.own_text:
            raise
        raise FileNotFoundError(
            f"{error}; it is the text of the run {run.file}: if that moved, give data.path"
        ) from error
    _check_tokenizer(run, data.tokenizer)
    stored = run.checkpoint.get(DIGESTS)
    if text is not None and stored and text != stored["corpus"].get("valid"):
        raise ValueError(
            f"data={data.name}: not the text that the run {run.file} was validated on, though "
            f"its configuration names it: the content differs; data=... or data.path=... evaluates "
            f"on another text"
        )
    return data


def _check_tokenizer(run: TrainedRun, tokenizer: Tokenizer) -> None:
    stored = run.checkpoint.get(DIGESTS)
    if stored and stored["tokenizer"] != tokenizer.digest:
        raise ValueError(
            f"data.tokenizer_name_or_path={tokenizer.name}: not the tokenizer that the run "
            f"{run.file} was trained with: the content differs"
        )


def averaged(run: TrainedRun) -> bool:
    """Whether averaged weights are evaluated: where the run has them, unless eval.disable_ema."""
    return "ema" in run.checkpoint and not run.settings["eval"]["disable_ema"]


def restore(run: TrainedRun, vocab_size: int) -> Algorithm:
    """The algorithm with the checkpoint's weights: averaged ones unless eval.disable_ema."""
    algorithm = build.algorithm(run.settings, vocab_size)
    try:
        load_weights(algorithm, run.checkpoint, averaged(run))
    except ValueError as error:
        raise ValueError(f"eval.checkpoint_path={run.file}: {error}") from error
    algorithm.on_load_checkpoint(run.checkpoint)  # as Lightning does where it restores a run
    return algorithm.eval()


def provenance(
    run: TrainedRun, algorithm: Algorithm, started: float, device: torch.device
) -> dict[str, Any]:
    """The fields of a record that do not depend on the measured value; `started` is
    time.monotonic(), `device` computed (Lightning takes the network back to the CPU)."""
    settings, stored = run.settings, run.checkpoint["config"]
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
            "steps": run.checkpoint["global_step"],
            "tokens": tokens_seen(run.checkpoint),
            "seed": stored["seed"],
            "averaged_weights": averaged(run),
            "checkpoint_digest": run.digest,
            "checkpoint": str(run.file),
            "finetuned_from": run.checkpoint.get("finetuned_from"),
        }
        | algorithm.training_facts(),
        "seed": stored["seed"],
        "config": stored | {key: settings[key] for key in SET_BY_EVALUATION},
    } | _circumstances(started, device)


def untrained(
    algo: str, network: str, settings: build.Settings, started: float, device: torch.device
) -> dict[str, Any]:
    """The same fields of a network that nobody trained."""
    return {
        "algo": algo,
        "network": {"name": network, "parameters": 0},
        "training": {"steps": None, "tokens": None, "checkpoint_digest": None},
        "config": settings,
    } | _circumstances(started, device)


def _circumstances(started: float, device: torch.device) -> dict[str, Any]:
    return {
        "commit": records.commit(),
        "hardware": records.hardware(device),
        "wall_time_s": time.monotonic() - started,
        "peak_memory_bytes": peak_memory_bytes(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
