"""Settings, training, seconds and memory, as the scripts beside this file need them."""

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import initialize_config_dir
from torch import Tensor, nn

import main
from algos.base import Algorithm, Batch
from modes.settings import Settings

AVERAGED = 1e-4  # what a step gives to the averaged weights


class Training(NamedTuple):
    """An algorithm with what trains it; `average` is empty where weights are not averaged."""

    algorithm: Algorithm
    optimizer: torch.optim.Optimizer
    average: list[Tensor]
    low: bool  # whether in bf16 autocast

    @classmethod
    def of(cls, algorithm: Algorithm, is_averaged: bool, low: bool) -> "Training":
        optimizer: Any = algorithm.configure_optimizers()["optimizer"]
        weights = algorithm.parameters() if is_averaged else ()
        return cls(algorithm, optimizer, [weight.detach().clone() for weight in weights], low)

    def gradients(self, batch: Batch) -> None:
        tokens = batch["tokens"]
        with torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.low):
            loss = self.algorithm.objective(batch).sum() / tokens.numel()
        loss.backward()

    def update(self) -> None:
        """Clips the gradients and leaves them where they are."""
        weights = list(self.algorithm.parameters())
        nn.utils.clip_grad_norm_(weights, 1.0)
        self.optimizer.step()
        if self.average:
            torch._foreach_lerp_(self.average, [weight.detach() for weight in weights], AVERAGED)


def composed(*overrides: str) -> Settings:
    """The settings of a command."""
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return main.compose(list(overrides))


def timed(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of a call, on a GPU until it has nothing left to do."""
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the peak since the start, or the last reset) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def peak_megabytes(work: Callable[[], object]) -> float:
    """What a call takes above the memory that is in use before it, in MiB."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    rest = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    work()
    return (resident("VmHWM") - rest) / 2**20
