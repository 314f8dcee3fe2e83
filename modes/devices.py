"""The keys of `trainer` about devices: what they choose by default, and what cannot be."""

import importlib.util
import os
import shutil
from typing import Any

import torch
from lightning.pytorch.accelerators import MPSAccelerator

from backbones.settings import Model
from modes.checks.machine import launched
from training.settings import Trainer

TRITON = (7, 0)  # the oldest GPUs that it knows


def accelerator(named: str) -> Any:
    """The accelerator of that name; `auto` leaves out Apple's GPUs, which have no float64."""
    on_apple = MPSAccelerator.is_available()
    if named == "mps" or (named == "gpu" and on_apple):
        raise ValueError(
            f"trainer.accelerator={named}: Apple's GPUs have no float64, which bounds and draws "
            f"are in; choose cpu"
        )
    return "cpu" if named == "auto" and on_apple else named


def precision(trainer: Trainer) -> Any:
    """That of `trainer`: by default bf16-mixed on a GPU that computes in it, which
    torch imitates on older ones. ValueError where such a one is asked for it."""
    asked = trainer.precision
    gpu = trainer.accelerator != "cpu" and torch.cuda.is_available()
    able = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if asked is None:
        return "bf16-mixed" if able else "32-true"
    if gpu and not able and str(asked).startswith("bf16"):
        raise ValueError(
            f"trainer.precision={asked}: {torch.cuda.get_device_name()} does not compute in "
            f"bfloat16; choose 32-true"
        )
    return asked


def compiles(device: torch.device) -> bool:
    """Whether torch.compile makes kernels for the device: Triton is there, knows the GPU, and finds
    the compiler of C that it needs."""
    if not _has_triton(device):
        return False
    found = any(map(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")))
    return found and torch.cuda.get_device_capability(device) >= TRITON


def _has_triton(device: torch.device) -> bool:
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def processes(trainer: Trainer, open_devices: int | None = None) -> int:
    """How many the trainer counts on; where it takes all devices of a machine, those are
    `open_devices`, or the GPUs of this one."""
    devices = trainer.devices
    if str(devices) in ("auto", "-1"):
        here = torch.cuda.device_count() if trainer.accelerator != "cpu" else 0
        devices = here if open_devices is None else open_devices
    elif isinstance(devices, str) and "," in devices:
        devices = len([one for one in devices.split(",") if one.strip()])
    elif isinstance(devices, list):
        devices = len(devices)
    return max(1, int(devices)) * trainer.num_nodes


def check_kernels(model: Model, device: torch.device) -> None:
    """ValueError where the kernels that `model` asks for do not run on the device."""
    if model.loss_kernels and not _has_triton(device):
        raise ValueError(
            f"model.loss_kernels=true: needs a CUDA device and Triton; {device.type} computes the "
            f"same losses with model.loss_kernels=false"
        )


def check_launch(trainer: Trainer) -> None:
    """ValueError where a launcher started another number of processes than the trainer counts on:
    each would train the whole run."""
    wanted = processes(trainer)
    for launcher, name, started in launched():
        if started != wanted:
            raise ValueError(
                f"trainer.devices={trainer.devices}: {launcher} started {started} processes "
                f"({name}), but trainer.num_nodes x trainer.devices are {wanted}; set "
                f"trainer.devices to the processes of a node, with strategy=ddp"
            )
