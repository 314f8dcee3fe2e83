"""The state of a run in its directory, and the checks that it goes on as the same run: with the
settings and the data that it began with."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from data.module import TokenDataModule
from leaderboard.run_key import NOT_THE_RECIPE, flat
from modes import build
from modes.settings import Settings, stored
from modes.trained_run import differing_data
from training.checkpoint import DIGESTS, LAST, read_checkpoint, vocab_size_of
from training.clock import trained_seconds
from training.saving import CONFIG, owes_validation
from training.shards import take_shape

# The settings that may differ when a run goes on, groups and single keys: those that do not change
# the training, but for what it began with; its length; and names whose content has a digest.
FREE = NOT_THE_RECIPE - {"seed", "data.stride", "data.valid_split", "training.finetune_path"}
FREE |= {"trainer", "callbacks", "training.max_seconds"}
NAMES = {"data.path", "data.valid_path", "data.tokenizer_name_or_path"}
FREE |= NAMES
OWN_NAME = ", or give this text a data.name of its own"  # which names the default folder


class Start(NamedTuple):
    """The state that a run starts from: the checkpoint, None for a new run; its step and seconds of
    training; whether a validation is still to be made; the digests of its data; its number of
    states without the mask, 0 of a new run."""

    checkpoint: Path | None
    step: int
    seconds: float
    owes_validation: bool
    digests: dict[str, Any]
    vocab_size: int = 0


def resumed(settings: Settings) -> Start:
    """The state of the run in checkpointing.save_dir; ValueError where going on, or beginning anew,
    would be over a different run."""
    directory = Path(settings.checkpointing.save_dir)
    last = directory / "checkpoints" / LAST
    if not last.exists():
        if last.is_symlink():
            raise FileNotFoundError(
                f"checkpointing.save_dir={directory}: {last} is a link to {last.readlink()}, which "
                f"is not there; bring it back, or remove the link for a new run"
            )
        refuse_foreign(directory / CONFIG)
        return Start(None, 0, 0.0, False, {})
    if not settings.checkpointing.resume_from_ckpt:
        raise ValueError(
            f"checkpointing.resume_from_ckpt=false: {last} would be lost; "
            f"choose another checkpointing.save_dir or move it away"
        )
    # Of its tensors the shapes alone: the strategy reads what it needs. Processes that share out
    # the weights share out the checks of the files too.
    part = slice(0) if settings.strategy.name == "fsdp" else slice(None)
    checkpoint = read_checkpoint(last, "checkpointing.save_dir", True, take_shape, part)
    began, asked = flat(checkpoint["config"]), flat(stored(settings))
    refuse_other(began, asked)
    start = Start(
        last,
        checkpoint["global_step"],
        trained_seconds(checkpoint) or 0.0,
        owes_validation(checkpoint),
        checkpoint[DIGESTS],
        vocab_size_of(checkpoint),
    )
    if any(began.get(name) != asked.get(name) for name in NAMES):  # also of a run that has finished
        check_data(start, build.data(settings, 1), settings)
    return start


def refuse_other(stored: dict[str, Any], asked: dict[str, Any]) -> None:
    """ValueError for the first setting by which a run would go on as another one."""
    free = FREE
    if stored.get("algo.curriculum_steps") is not None:
        free = free | {"algo.max_steps"}  # nothing is a share of them
    for key in sorted(stored.keys() | asked.keys()):
        if key in free or key.split(".")[0] in free or stored.get(key) == asked.get(key):
            continue
        shown = "trainer.max_steps" if key == "algo.max_steps" else key  # as it is typed
        why = " (its curriculum or its rounds are parts of them)" if key != shown else ""
        raise ValueError(
            f"checkpointing.save_dir={asked['checkpointing.save_dir']}: the run there has "
            f"{shown}={stored.get(key)}, not {asked.get(key)}{why}; choose another "
            f"checkpointing.save_dir or the same setting{OWN_NAME * key.startswith('data.')}"
        )


def refuse_foreign(file: Path) -> None:
    """ValueError for a configuration that no run of this program wrote."""
    if not file.exists():
        return
    try:
        keys = json.loads(file.read_text(encoding="utf-8")).keys()
    except (ValueError, AttributeError, RecursionError):
        keys = set()
    if not {"algo", "model", "checkpointing"} <= keys:
        raise ValueError(
            f"checkpointing.save_dir={file.parent}: {file.name} there is of another program; "
            f"choose another folder"
        )


def check_data(start: Start, data: TokenDataModule, settings: Settings) -> None:
    """ValueError where a run would go on with another text or tokenizer than it began with."""
    if start.checkpoint is None:
        return
    difference = differing_data(start.digests, data)
    if difference is not None:
        raise ValueError(
            f"checkpointing.save_dir={settings.checkpointing.save_dir}: the run there has "
            f"another {difference}, by its content; choose another checkpointing.save_dir or the "
            f"same data{OWN_NAME}"
        )
