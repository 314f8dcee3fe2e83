"""A trained run, rebuilt from its checkpoint for evaluation, and what a record says of it."""

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
    """Reads eval.checkpoint_path, which `key` says where it came from; refuses an algo or model on
    the command line that is not the run's."""
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
    own = file.name in (LAST, BEST) or (run / "config.json").is_file()
    return run if file.parent.name == "checkpoints" and own else None


def output_directory(saved: TrainedRun) -> Path:
    """Where samples and answers go: eval.output_dir, the run directory, or a folder beside a
    checkpoint that lies alone, of its name."""
    chosen = saved.settings["eval"]["output_dir"]
    if chosen is not None:
        return Path(chosen)
    return run_directory(saved.file) or saved.file.with_name(f"{saved.file.stem}-output")


def check_output(saved: TrainedRun) -> None:
    """OSError where samples and answers cannot be written."""
    check_writable(output_directory(saved), "eval.output_dir")


def keys_of(overrides: list[str]) -> set[str]:
    """What the command line says something about."""
    return {text.lstrip("+~").partition("=")[0] for text in overrides}


def merged(settings: build.Settings, stored: build.Settings, given: set[str]) -> build.Settings:
    """The settings of an evaluation: what made the run is its own, the text too unless the command
    line names one, single keys are as given."""
    own = settings | {key: stored[key] for key in TAKEN_FROM_RUN}
    if "model.length" in given:
        own["model"] = stored["model"] | {"length": shorter(settings, stored)}
    return own | {"data": data_settings(settings, stored, given)}


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
        chosen["tokenizer_name_or_path"] = tokenizer_name(stored["data"])
    return chosen


def tokenizer_name(data: dict[str, Any]) -> str:
    """The tokenizer of a run by its settings; a language of symbols has its own."""
    return data["tokenizer_name_or_path"] or f"symbols:{data['states']}"


def data_digests(data: TokenDataModule) -> dict[str, Any]:
    """What a run read, by content: each split of its corpus, and the tokenizer."""
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


def open_tokenizer(saved: TrainedRun) -> Tokenizer:
    """The run's tokenizer; ValueError where what has its name is another one by now."""
    tokenizer = make_tokenizer(tokenizer_name(saved.settings["data"]))
    _check_tokenizer(saved, tokenizer)
    return tokenizer


def open_data(saved: TrainedRun) -> TokenDataModule:
    """The text to evaluate on, under the run's tokenizer; ValueError where either has the run's
    name for it, and another content. Each rank takes its share of the blocks itself."""
    try:
        data = build.data(saved.settings, devices=1)
        text = data.corpus.digest("valid") if saved.own_text else None
    except FileNotFoundError as error:
        if not saved.own_text:
            raise
        raise FileNotFoundError(
            f"{error}; it is the text of the run {saved.file}: if that moved, give data.path"
        ) from error
    _check_tokenizer(saved, data.tokenizer)
    stored = saved.checkpoint.get(DIGESTS)
    if text is not None and stored and text != stored["corpus"].get("valid"):
        raise ValueError(
            f"data={data.name}: not the text that the run {saved.file} was validated on, though "
            f"its configuration names it: the content differs; data=... or data.path=... evaluates "
            f"on another text"
        )
    return data


def _check_tokenizer(saved: TrainedRun, tokenizer: Tokenizer) -> None:
    stored = saved.checkpoint.get(DIGESTS)
    if stored and stored["tokenizer"] != tokenizer.digest:
        raise ValueError(
            f"data.tokenizer_name_or_path={tokenizer.name}: not the tokenizer that the run "
            f"{saved.file} was trained with: the content differs"
        )


def averaged(saved: TrainedRun) -> bool:
    """Whether averaged weights are evaluated: where the run has them, unless eval.disable_ema."""
    return "ema" in saved.checkpoint and not saved.settings["eval"]["disable_ema"]


def shorter(settings: build.Settings, stored: build.Settings) -> int:
    asked, trained = settings["model"]["length"], stored["model"]["length"]
    if asked > trained:
        raise ValueError(f"model.length={asked}: the run was trained with {trained}, at most that")
    return asked


def restore(saved: TrainedRun, vocab_size: int) -> Algorithm:
    """The algorithm with the checkpoint's weights: averaged ones unless eval.disable_ema."""
    algorithm = build.algorithm(saved.settings, vocab_size)
    try:
        load_weights(algorithm, saved.checkpoint, averaged(saved))
    except ValueError as error:
        raise ValueError(f"eval.checkpoint_path={saved.file}: {error}") from error
    algorithm.on_load_checkpoint(saved.checkpoint)  # as Lightning does where it restores a run
    return algorithm.eval()


def provenance(
    saved: TrainedRun, algorithm: Algorithm, started: float, device: torch.device
) -> dict[str, Any]:
    """The fields of a record that do not depend on what was measured; `started` is
    time.monotonic(), `device` computed (Lightning takes the network back to the CPU)."""
    settings, stored = saved.settings, saved.checkpoint["config"]
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
            "steps": saved.checkpoint["global_step"],
            "tokens": tokens_seen(saved.checkpoint),
            "seed": stored["seed"],
            "averaged_weights": averaged(saved),
            "checkpoint_digest": saved.digest,
            "checkpoint": str(saved.file),
            "finetuned_from": saved.checkpoint.get("finetuned_from"),
        }
        | algorithm.facts(),
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
