"""Checkpoints: written whole or not at all, read without unpickling code, damage named."""

import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from storage import replacing, utf8_name
from training.shards import INDEX, Take, is_index, read_shards, remove_unused, take_all

LAST, BEST = "last.ckpt", "best.ckpt"
DIGESTS = "data_digests"  # of a checkpoint: corpus by split, tokenizer
EMBEDDING = "backbone.embedding.weight"  # a row for each of N states, and one for the mask
VALIDATION = "validation"  # of a checkpoint: the last step with one due, the last with one done

Module = TypeVar("Module", bound=L.LightningModule)

# The errors of torch and its unpickler for damaged files.
DAMAGED = (
    OSError,  # offsets that lie before the file
    zipfile.BadZipFile,
    RuntimeError,  # NotImplementedError too
    pickle.UnpicklingError,
    EOFError,
    ValueError,  # UnicodeDecodeError too
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)
# The parts of every checkpoint, of one with averaged weights, and of one to go on from.
PARTS: dict[str, type] = {
    "state_dict": dict,
    "config": dict,
    **{f"config.{name}": dict for name in ("algo", "model", "data", "loader", "training")},
    "config.seed": int,
    "global_step": int,
}
AVERAGED_PARTS: dict[str, type] = {"ema.updates": int, "ema.weights": dict}
RESUMED_PARTS: dict[str, type] = {
    "optimizer_states": list,
    "lr_schedulers": list,
    "loops": dict,
    "callbacks": dict,
    VALIDATION: dict,
    DIGESTS: dict,
    "pytorch-lightning_version": str,
}


def checkpoint_file(path: str | Path) -> Path:
    """`path` itself, the index of the folder of parts that it is, or the last checkpoint of the
    run directory."""
    path = Path(path)
    if (path / INDEX).is_file():
        return path / INDEX
    return path / "checkpoints" / LAST if path.is_dir() else path


def read_checkpoint(
    path: str | Path,
    key: str = "eval.checkpoint_path",
    resumes: bool = False,
    take: Take = take_all,
    part: slice = slice(None),
) -> dict[str, Any]:
    """The checkpoint at `path` (a file, or a run directory: its last one), tensors on the CPU, or
    what `take` makes of them; plain data only, whole where training `resumes` from it. `key` is
    the setting that an error names. A `part` of its files is checked, all of them by default. Of a
    checkpoint in parts the state of the optimizer, twice the weights, is read where training
    resumes alone."""
    file = checkpoint_file(path)
    if not file.is_file():
        raise FileNotFoundError(f"{key}={path}: there is no checkpoint at {file}")
    try:
        if is_index(file):
            checkpoint = _in_parts(file, take, part, () if resumes else ("optimizer_states",))
        else:
            checkpoint = _in_one(file, take, part)
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{key}={file}: truncated, corrupt or not a checkpoint ({reason})"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config"} <= checkpoint.keys():
        raise ValueError(
            f"{key}={file}: a checkpoint of another program (no state_dict and config in it)"
        )
    missing = _missing(checkpoint, resumes)
    if missing is not None:
        raise ValueError(f"{key}={file}: damaged, it has no {missing} as this program writes it")
    return checkpoint


def _in_one(file: Path, take: Take, part: slice) -> Any:
    for own in [file][part]:
        check_archive(own)
    with utf8_name(file) as name:
        checkpoint = torch.load(name, map_location="cpu", weights_only=True, mmap=True)
    if take is take_all:
        return checkpoint

    def taken(tensor: Tensor) -> Tensor:
        return take(tuple(tensor.shape), lambda rows: tensor[rows] if tensor.dim() else tensor)

    return tree_map_only(Tensor, taken, checkpoint)


def check_archive(file: Path) -> None:
    """BadZipFile for a file of torch.save with an entry that is compressed, which torch would map
    as it stands, or of another checksum, at which torch does not look."""
    with zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                raise zipfile.BadZipFile(f"{entry.filename} is compressed")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")


def _in_parts(file: Path, take: Take, part: slice, without: Collection[str]) -> dict[str, Any]:
    """A run that goes on may replace the checkpoint while it is opened."""
    try:
        return read_shards(file, take, part, without)
    except FileNotFoundError:
        return read_shards(file, take, part, without)


def _missing(checkpoint: dict[str, Any], resumes: bool) -> str | None:
    """The first part that is absent, empty or of another type."""
    averaged = AVERAGED_PARTS if "ema" in checkpoint else {}
    for path, kind in (PARTS | averaged | (RESUMED_PARTS if resumes else {})).items():
        part: Any = checkpoint
        for name in path.split("."):
            part = part.get(name) if isinstance(part, dict) else None
        if not isinstance(part, kind) or (kind in (dict, list) and not part):
            return path
    if not all(map(torch.is_tensor, checkpoint["state_dict"].values())):
        return "state_dict"
    if averaged and not all(map(torch.is_tensor, checkpoint["ema"]["weights"].values())):
        return "ema"
    for state in checkpoint["optimizer_states"] if resumes else []:  # as after a step
        if not isinstance(state, dict) or not (state.get("state") and state.get("param_groups")):
            return "optimizer_states"
    return None


def tokens_seen(checkpoint: dict[str, Any]) -> int:
    """Tokens of all blocks that the run was trained on so far."""
    config = checkpoint["config"]
    per_step = config["loader"]["global_batch_size"] * config["model"]["length"]
    return checkpoint["global_step"] * per_step


def weights_of(checkpoint: dict[str, Any], averaged: bool) -> dict[str, Tensor]:
    """Weights by name; `averaged` prefers the averaged ones where the run has them."""
    weights = dict(checkpoint["state_dict"])
    if averaged and "ema" in checkpoint:
        weights |= checkpoint["ema"]["weights"]
    return weights


def load_weights(module: nn.Module, checkpoint: dict[str, Any], averaged: bool = True) -> None:
    """Puts the (averaged) weights into `module`; refuses names or shapes that differ, naming the
    first."""
    weights = weights_of(checkpoint, averaged)
    state = module.state_dict()
    for name in sorted(state.keys() | weights.keys()):
        here, there = (tuple(d[name].shape) if name in d else None for d in (state, weights))
        if here != there:
            raise ValueError(
                f"a checkpoint of another architecture: {name} has shape {there} there, {here} here"
            )
    module.load_state_dict(weights)


def vocab_size_of(checkpoint: dict[str, Any]) -> int:
    """The number N of the network's states without the mask; ValueError where nothing says."""
    table = checkpoint["state_dict"].get(EMBEDDING)
    if not isinstance(table, Tensor) or table.dim() != 2:
        raise ValueError(f"a checkpoint of another architecture: there is no {EMBEDDING}")
    return len(table) - 1


def restored(algorithm: Module, checkpoint: dict[str, Any], averaged: bool = True) -> Module:
    """The algorithm, new, with the (averaged) weights of a checkpoint, in eval mode."""
    load_weights(algorithm, checkpoint, averaged)
    algorithm.on_load_checkpoint(checkpoint)  # as Lightning does where it restores a run
    return algorithm.eval()


class AtomicCheckpointIO(TorchCheckpointIO):
    """A full disk or a kill leaves the older checkpoint as it was."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path = Path(path)
        try:
            with replacing(path) as stream:
                torch.save(checkpoint, stream)
            remove_unused(path.parent)  # of a run that was in parts before
        except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
            reason = error.strerror if isinstance(error, OSError) else "the write failed"
            free = free_bytes(path.parent)
            raise OSError(
                f"cannot write the checkpoint {path}: {reason}, {free:,} bytes are free there; "
                f"the older one is untouched"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint(path, "checkpointing.save_dir", resumes=True)


def free_bytes(folder: Path) -> int:
    """Of the file system that has, or would have, `folder`."""
    above = (folder, *folder.absolute().parents)
    return shutil.disk_usage(next(path for path in above if path.exists())).free
