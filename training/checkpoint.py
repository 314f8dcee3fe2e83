"""Checkpoints that are whole or absent, never unpickle code, and say plainly what is wrong with
them."""

import hashlib
import os
import pickle
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

LAST, BEST = "last.ckpt", "best.ckpt"


def checkpoint_file(path: str | Path) -> Path:
    """`path` itself, or the last checkpoint of the run directory that it is."""
    path = Path(path)
    return path / "checkpoints" / LAST if path.is_dir() else path


def read_checkpoint(path: str | Path, key: str = "eval.checkpoint_path") -> dict[str, Any]:
    """The checkpoint at `path` (a file, or a run directory: its last one), tensors on the CPU;
    plain data only. `key` is the setting that an error names."""
    file = checkpoint_file(path)
    if not file.is_file():
        raise FileNotFoundError(f"{key}={path}: there is no checkpoint at {file}")
    try:
        with zipfile.ZipFile(file) as archive:  # torch itself does not look at the checksums
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{key}={file}: truncated, corrupt or not a checkpoint ({reason})"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config"} <= checkpoint.keys():
        raise ValueError(
            f"{key}={file}: a checkpoint of another program (no state_dict and config in it)"
        )
    return checkpoint


def digest(file: Path) -> str:
    """sha256 of a checkpoint file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    own = module.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        here, there = (tuple(d[name].shape) if name in d else None for d in (own, weights))
        if here != there:
            raise ValueError(
                f"a checkpoint of another architecture: {name} has shape {there} there, {here} here"
            )
    module.load_state_dict(weights)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside and renames: a full disk or a kill leaves the older checkpoint as it was."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
            free = shutil.disk_usage(path.parent).free
            reason = error.strerror if isinstance(error, OSError) else "the write failed"
            raise OSError(
                f"cannot write the checkpoint {path}: {reason}, {free:,} bytes are free there; "
                f"the older one is untouched"
            ) from error
        finally:
            beside.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return read_checkpoint(path, "checkpointing.save_dir")


class Checkpoints(L.pytorch.callbacks.Checkpoint):
    """Saves the last state every `every_n_steps` optimizer steps and at the end, and the best
    validated one.

    SIGINT and SIGTERM end the run after the current step with a checkpoint; a second one ends it at
    once. `finetuned_from` says where the first weights came from, None for a run from nothing; a
    run that goes on keeps what its checkpoint says."""

    def __init__(
        self,
        directory: str | Path,
        every_n_steps: int,
        config: dict[str, Any],
        finetuned_from: dict[str, Any] | None = None,
    ):
        if every_n_steps < 1:
            raise ValueError(f"checkpointing.every_n_steps={every_n_steps}: must be at least 1")
        self.directory = Path(directory)
        self.every_n_steps = every_n_steps
        self.config = config
        self.finetuned_from = finetuned_from
        self.step = self.saved = 0
        self.best = float("inf")
        self.started = time.monotonic()
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "seconds": self.seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]
        self.started = time.monotonic() - state_dict["seconds"]

    def seconds(self) -> float:
        """Wall time of the run, over all its starts."""
        return time.monotonic() - self.started

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint |= {"config": self.config, "train_seconds": self.seconds()}
        checkpoint["finetuned_from"] = self.finetuned_from

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.finetuned_from = checkpoint.get("finetuned_from")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.step = self.saved = trainer.global_step
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.step:  # still accumulating gradients
            return
        self.step = trainer.global_step
        stop = trainer.strategy.reduce_boolean_decision(self._signal is not None, all=False)
        if stop or self.step % self.every_n_steps == 0:
            self._save_last(trainer)
        if stop:
            number = self._signal or signal.SIGTERM
            self._restore_handlers()
            if trainer.is_global_zero:
                print(
                    f"\nstopped after step {self.step}; the same command goes on from there",
                    file=sys.stderr,
                )
            raise SystemExit(128 + number)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        value = trainer.callback_metrics.get("val/nll")
        fitting = trainer.state.fn == TrainerFn.FITTING
        if fitting and value is not None and float(value) < self.best:
            self.best = float(value)
            trainer.save_checkpoint(self.directory / BEST)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save_last(trainer)
        self._restore_handlers()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._restore_handlers()

    def _save_last(self, trainer: L.Trainer) -> None:
        if self.saved != trainer.global_step:
            self.saved = trainer.global_step
            trainer.save_checkpoint(self.directory / LAST)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
