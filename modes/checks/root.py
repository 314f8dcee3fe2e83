"""The top level of the configuration; only the standard library."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Mode(Enum):
    """Each names a module of the room modes/, whose `run` takes the configuration as plain data."""

    train = "train"
    ppl_eval = "ppl_eval"
    sample_eval = "sample_eval"
    downstream = "downstream"
    audit = "audit"
    oracle = "oracle"
    benchmark = "benchmark"
    leaderboard = "leaderboard"


@dataclass
class Root:
    """The top level of the configuration; the groups below it are the keyword arguments of what
    they name."""

    mode: Mode = Mode.train
    seed: int = 1
    results_dir: Any = "results"  # mode=leaderboard takes several
    estimate: bool = False
    tensorboard: bool = False
    algo: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    loader: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = field(default_factory=dict)
    lr_scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    checkpointing: dict[str, Any] = field(default_factory=dict)
    eval: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    benchmark: dict[str, Any] = field(default_factory=dict)
    oracle: dict[str, Any] = field(default_factory=dict)
    leaderboard: dict[str, Any] = field(default_factory=dict)
    wandb: dict[str, Any] = field(default_factory=dict)
