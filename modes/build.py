"""From the configuration, as plain data, to objects."""

import logging
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from algos.base import Algorithm, Average
from algos.build import Construct, called, make_algorithm, pick
from data.build_module import build_data
from data.module import TokenDataModule
from data.order import accumulation
from data.tokenizers import Tokenizer
from modes.checks.loggers import check_loggers
from training.checkpoint import AtomicCheckpointIO
from training.logs import RunLog
from training.memory import keep_freed_memory
from training.optim import SCHEDULES, adamw
from training.sharding import EvenValidation, FullyShardedStrategy
from training.signals import keep_handlers
from training.wandb_run import continued

Settings = dict[str, Any]

# What it says at every start is in the configuration already.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # its own, for it
if "SLURM_JOB_ID" not in os.environ:  # a cluster's login node: nothing is wrong there
    warnings.filterwarnings("ignore", message="The `srun` command is available")

# Before anything computes, since the threads of torch's pool take this over from the one that
# starts them. What a trained network pays no attention to falls below 1e-38, numbers for which
# processors are slow: a training step of GIDD took 1.7 times as long with them as with zeros.
torch.set_flush_denormal(True)

LOGGED = (
    "train/grad_norm",
    "train/loss",
    "train/lr",
    "val/nll",
    "val/ppl",
)  # what a callback can watch

# Callbacks of Lightning that would work against what this program does itself.
OURS = {
    "StochasticWeightAveraging": "training.ema averages the weights",
    "GradientAccumulationScheduler": "loader.batch_size says what is accumulated",
    "BatchSizeFinder": "estimate=true says which loader.batch_size fits",
    "LearningRateFinder": "optim.lr is given",
}
# How many processes a launcher says it started.
LAUNCHED = {"WORLD_SIZE": "torchrun", "SLURM_STEP_NUM_TASKS": "srun"}
STRATEGIES: dict[str, Callable[[Settings, Settings], Strategy | str]] = {
    "auto": lambda strategy, options: "auto",
    "ddp": lambda strategy, options: DDPStrategy(gradient_as_bucket_view=True),
    "fsdp": lambda strategy, options: _fully_sharded(strategy, options),
}


def data(settings: Settings, devices: int, tokenizer: Tokenizer | None = None) -> TokenDataModule:
    """Blocks of the corpus, split over devices and passes."""
    loader = settings["loader"]
    return build_data(
        **settings["data"],
        tokenizer=tokenizer,
        length=settings["model"]["length"],
        global_batch_size=loader["global_batch_size"],
        batch_size=loader["global_batch_size"] // (passes(settings, devices) * devices),
        eval_batch_size=loader["eval_batch_size"],
        limit_val_batches=settings["trainer"]["limit_val_batches"],
        num_workers=loader["num_workers"],
        seed=settings["seed"],
    )


def algorithm(
    settings: Settings,
    vocab_size: int,
    average: Average | None = None,
    construct: Construct = called,
) -> Algorithm:
    """The algorithm with a new network, its optimizer and its schedule of learning rates."""
    schedule = dict(settings["lr_scheduler"])
    factor = pick(SCHEDULES, "lr_scheduler.name", schedule.pop("name"))
    return make_algorithm(
        settings,
        vocab_size,
        optimizer=partial(adamw, **settings["optim"]),
        lr_factor=factor(max_steps=settings["trainer"]["max_steps"], **schedule),
        average=average,
        construct=construct,
    )


def trainer(
    settings: Settings,
    callbacks: list[L.Callback],
    fitting: bool,
    share_batches: bool = False,
) -> L.Trainer:
    """Lightning's Trainer, in training with logs, accumulation and steps over all devices.

    `share_batches` lets it deal out the batches of a plain loader; a data module does so itself.
    """
    options = dict(settings["trainer"])
    options["accelerator"] = accelerator(options["accelerator"])
    if options["precision"] is None:
        gpu = options["accelerator"] != "cpu" and torch.cuda.is_available()
        options["precision"] = "bf16-mixed" if gpu else "32-true"
    asked = settings["strategy"]
    strategy = pick(STRATEGIES, "strategy.name", asked["name"])(asked, options)
    if isinstance(strategy, FullyShardedStrategy):
        callbacks = [EvenValidation(), *callbacks]
    # The data module counts blocks, the same for any number of devices.
    options["limit_val_batches"] = 0 if fitting and options["limit_val_batches"] == 0 else None
    check_launch(options)
    options |= {
        "strategy": strategy,
        "logger": loggers(settings) if fitting else False,
        "callbacks": [*callbacks, *users_callbacks(settings)],
        "plugins": [AtomicCheckpointIO()],
        "default_root_dir": settings["checkpointing"]["save_dir"],
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": share_batches,
        "enable_model_summary": False,
        "enable_checkpointing": fitting,
        "enable_progress_bar": any(isinstance(one, ProgressBar) for one in callbacks),
    }
    try:
        built = L.Trainer(**options)
    except (MisconfigurationException, RuntimeError) as error:  # the latter of Slurm's settings
        asked = ", ".join(f"trainer.{key}={options[key]}" for key in ("accelerator", "devices"))
        raise ValueError(f"{asked}: {' '.join(str(error).split())}") from error
    keep_handlers(built)
    if built.strategy.root_device.type == "cpu":
        keep_freed_memory()
    if fitting:
        built.accumulate_grad_batches = passes(settings, built.world_size)
        built.val_check_interval *= built.accumulate_grad_batches
    return built


def _fully_sharded(strategy: Settings, options: Settings) -> Strategy:
    """It has low precision of its own, in the place of Lightning's autocast."""
    low = torch.bfloat16 if options["precision"] == "bf16-mixed" else None
    options["precision"] = "32-true"
    return FullyShardedStrategy(low, strategy["shard_within_node"])


def check_launch(options: dict[str, Any]) -> None:
    """ValueError where a launcher started another number of processes than the trainer counts on:
    each would train the whole run."""
    for name, launcher in LAUNCHED.items():
        started, devices = os.environ.get(name, ""), options["devices"]
        if not started.isdigit():
            continue
        if str(devices) in ("auto", "-1"):
            devices = torch.cuda.device_count() if options["accelerator"] != "cpu" else 0
        elif isinstance(devices, str) and "," in devices:
            devices = len([one for one in devices.split(",") if one.strip()])
        elif isinstance(devices, list):
            devices = len(devices)
        wanted = max(1, int(devices)) * options["num_nodes"]
        if int(started) != wanted:
            raise ValueError(
                f"trainer.devices={options['devices']}: {launcher} started {started} processes "
                f"({name}), but trainer.num_nodes x trainer.devices are {wanted}; set "
                f"trainer.devices to the processes of a node, with strategy=ddp"
            )


def accelerator(named: str) -> str:
    """The accelerator of that name, where `auto` leaves out Apple's GPUs: bounds and draws are in
    float64, which they lack."""
    on_apple = MPSAccelerator.is_available()
    if named == "mps" or (named == "gpu" and on_apple):
        raise ValueError(
            f"trainer.accelerator={named}: Apple's GPUs have no float64, which bounds and draws "
            f"are in; choose cpu"
        )
    return "cpu" if named == "auto" and on_apple else named


def passes(settings: Settings, devices: int) -> int:
    """Forward and backward passes per optimizer step and device."""
    loader = settings["loader"]
    together, alone = loader["global_batch_size"], loader["batch_size"]
    if alone is None:
        alone = max(1, together // devices)
    return accumulation(together, alone, devices)


def users_callbacks(settings: Settings) -> list[L.Callback]:
    """Lightning's callbacks by name, with their keyword arguments."""
    known = {name: getattr(lightning_callbacks, name) for name in lightning_callbacks.__all__}
    return [
        _callback(name, pick(known, "callbacks", name), arguments or {})
        for name, arguments in settings["callbacks"].items()
    ]


def _callback(name: str, make: Callable[..., L.Callback], arguments: dict[str, Any]) -> L.Callback:
    """ValueError for what the callback does not take, and for a quantity that nobody logs."""
    monitor = arguments.get("monitor", LOGGED[0])
    if monitor not in LOGGED:
        raise ValueError(f"callbacks.{name}.monitor={monitor}: choose from {', '.join(LOGGED)}")
    if name in OURS:
        raise ValueError(f"callbacks.{name}: not with this program; {OURS[name]}")
    try:
        return make(**arguments)
    except (TypeError, MisconfigurationException) as error:
        raise ValueError(f"callbacks.{name}: {' '.join(str(error).split())}") from error


def loggers(settings: Settings) -> list[Logger]:
    """CSV always, each start of a run in its own version; TensorBoard and Weights & Biases when
    asked for."""
    check_loggers(settings)
    directory = Path(settings["checkpointing"]["save_dir"])
    every = settings["trainer"]["log_every_n_steps"]
    made: list[Logger] = [RunLog(directory, name="logs", flush_logs_every_n_steps=every)]
    if settings.get("tensorboard"):
        made.append(TensorBoardLogger(directory, name="tensorboard"))
    wandb = {key: value for key, value in settings["wandb"].items() if value is not None}
    if "project" in wandb or "name" in wandb:
        same = continued(directory, wandb["offline"])
        made.append(WandbLogger(save_dir=str(directory), config=settings, **wandb, **same))
    return made
