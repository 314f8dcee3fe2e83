"""The keys of `training`, `optim`, `lr_scheduler`, `trainer`, `strategy`, `checkpointing` and
`wandb`; only the standard library."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from schema.fields import field

STEPS = 1_000_000_000  # the most of anything that counts steps
DEVICES = r"auto|-1|[1-9]\d*|\d+(, *\d+)+,?"  # how many, or which


@dataclass(frozen=True)
class Training:
    ema: float = field(0.9999, "decay of the averaged weights; 0 for none", within="[0, 1)")
    sampling_eps: float | None = field(
        None, "smallest t drawn in training; null: the algorithm's own", within="[0, 1)"
    )
    antithetic_sampling: bool = field(True, "times spread evenly over the global batch")
    max_seconds: float | None = field(
        None,
        "end after so many seconds of training, whatever trainer.max_steps lays out",
        above=0,
        at_most=1_000_000_000,
    )
    finetune_path: str | None = field(
        None, "start from the weights of this run directory or checkpoint file", written="path"
    )
    finetune_ema: bool = field(
        True, "from its averaged weights, where it has them; false: from the raw ones"
    )


@dataclass(frozen=True)
class AdamW:
    lr: float = field(1e-3, "learning rate", above=0, at_most=100)
    beta1: float = field(0.9, "decay of the mean of gradients", within="[0, 1)")
    beta2: float = field(0.999, "decay of the mean of their squares", within="[0, 1)")
    eps: float = field(1e-8, "added to the root of that mean", above=0, at_most=1)
    weight_decay: float = field(0.0, "of every parameter", at_least=0, at_most=100)


@dataclass(frozen=True)
class ConstantWarmup:
    name: str = field("constant_warmup", "a linear warm-up, then constant")
    num_warmup_steps: int = field(100, "steps of the warm-up", at_least=0, at_most=STEPS)


@dataclass(frozen=True)
class CosineWarmup:
    name: str = field("cosine_warmup", "a linear warm-up, then half a cosine")
    num_warmup_steps: int = field(100, "steps of the warm-up", at_least=0, at_most=STEPS)
    min_ratio: float = field(0.1, "of the learning rate at the last step", within="[0, 1]")


LRScheduler = ConstantWarmup | CosineWarmup
LR_SCHEDULERS: dict[str, type[LRScheduler]] = {
    cls().name: cls for cls in (ConstantWarmup, CosineWarmup)
}


def _devices(value: Any) -> str | None:
    if isinstance(value, list):
        good = bool(value) and all(type(number) is int and 0 <= number < 10**4 for number in value)
    else:
        counted = type(value) is not int or value < 10**4
        good = counted and re.fullmatch(DEVICES, str(value)) is not None
    return None if good else "must be auto, a number or a list"


def _batches(value: Any) -> str | None:
    share = isinstance(value, float) and value > 1
    return "must be a whole number, or a share up to 1.0" if share else None


# No float16: its gradients need scaling, which the norm that is clipped and checked would have to
# undo, and its overflows look like a run that diverges.
Precision = Literal[
    32,
    64,
    "32",
    "32-true",
    "64",
    "64-true",
    "bf16",
    "bf16-mixed",
    "bf16-true",
]


@dataclass(frozen=True)
class Trainer:
    accelerator: Literal["auto", "cpu", "cuda", "gpu", "mps", "tpu"] = field(
        "auto", "what computes"
    )
    devices: int | str | list[int] = field("auto", "how many, or which", rule=_devices)
    num_nodes: int = field(1, "machines", at_least=1, at_most=10_000)
    precision: Precision | None = field(None, "null: bf16-mixed on a GPU, 32-true elsewhere")
    max_steps: int = field(1000, "optimizer steps of training", at_least=1, at_most=STEPS)
    gradient_clip_val: float | None = field(
        1.0, "largest norm of a gradient; null: not clipped", above=0, at_most=1_000_000
    )
    val_check_interval: int = field(
        500, "optimizer steps between validations", at_least=1, at_most=STEPS
    )
    limit_val_batches: int | float | None = field(
        20,
        "batches of a validation, or a share; null: all",
        at_least=0,
        at_most=STEPS,
        rule=_batches,
    )
    log_every_n_steps: int = field(10, "steps between logged values", at_least=0, at_most=STEPS)
    benchmark: bool | None = field(None, "of cuDNN: choose the fastest algorithms")
    detect_anomaly: bool = field(False, "look for NaN in every backward pass, slowly")
    deterministic: bool | Literal["warn"] | None = field(None, "deterministic algorithms alone")
    gradient_clip_algorithm: Literal["norm", "value"] | None = field(None, "null: norm")
    max_time: str | dict[str, int] | None = field(None, "Lightning's limit, such as 00:12:00:00")
    profiler: Literal["advanced", "pytorch", "simple", "xla"] | None = field(
        None, "Lightning's profiler"
    )


@dataclass(frozen=True)
class Strategy:
    name: Literal["auto", "ddp", "fsdp"] = field(
        "auto", "how devices share a step; fsdp: each has a part of every weight"
    )
    shard_within_node: bool = field(
        False, "of fsdp on several nodes: parts within a node, copies between nodes"
    )


@dataclass(frozen=True)
class Checkpointing:
    save_dir: str = field(
        "outputs/${data.name}/${algo.name}-${model.name}/seed${seed}",
        "the run directory",
        written="path",
    )
    every_n_steps: int = field(500, "steps between checkpoints", at_least=1, at_most=STEPS)
    resume_from_ckpt: bool = field(True, "go on from the run's last checkpoint")


@dataclass(frozen=True)
class Wandb:
    """Off unless project or name is given."""

    project: str | None = field(None, "log to this project of Weights & Biases")
    name: str | None = field(None, "the run's name there")
    group: str | None = field(None, "its group")
    entity: str | None = field(None, "the user or team")
    tags: list[str] | None = field(None, "labels of the run")
    offline: bool = field(False, "write logs here alone")
    dir: str | None = field(None, "folder of its files", written="path")
    id: str | None = field(None, "the run's id; null: the run directory's own")
    job_type: str | None = field(None, "its kind of job")
    notes: str | None = field(None, "a description", written="text")
    save_code: bool | None = field(None, "keep main.py there")
