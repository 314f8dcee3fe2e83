"""From the settings to objects."""

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.imports import _IS_INTERACTIVE
from lightning.pytorch import callbacks as lightning_callbacks
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
from modes import devices
from modes.settings import Settings, stored
from schema.fields import keywords
from training import settings as keys
from training.checkpoint import AtomicCheckpointIO
from training.logs import RunLog
from training.memory import keep_freed_memory
from training.optim import SCHEDULES, adamw
from training.sharding import EvenValidation, FullyShardedStrategy
from training.signals import keep_handlers
from training.wandb_run import continued

# What it says at every start is in the configuration already.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # its own, for it
# The algorithm leaves the index of a batch on the CPU, for plain loaders too.
HOOK = "You have overridden `transfer_batch_to_device`"
if "SLURM_JOB_ID" not in os.environ:  # a cluster's login node: nothing is wrong there
    warnings.filterwarnings("ignore", message="The `srun` command is available")

# Before anything computes, since the threads of torch's pool take this over from the one that
# starts them. What a trained network pays no attention to falls below 1e-38, numbers for which
# processors are slow: a training step of GIDD took 1.7 times as long with them as with zeros.
torch.set_flush_denormal(True)

# What a callback can watch.
LOGGED = ("train/grad_norm", "train/loss", "train/lr", "val/nll", "val/nll_stderr", "val/ppl")
# Callbacks of Lightning that would work against what this program does itself.
OURS = {
    "StochasticWeightAveraging": "training.ema averages the weights",
    "GradientAccumulationScheduler": "loader.batch_size says what is accumulated",
    "BatchSizeFinder": "estimate=true says which loader.batch_size fits",
    "LearningRateFinder": "optim.lr is given",
}


def data(
    settings: Settings,
    devices: int,
    tokenizer: Tokenizer | None = None,
    stride: int | None = None,
) -> TokenDataModule:
    """Blocks of the corpus, split over devices and passes; those of evaluation by `stride`."""
    loader = settings.loader
    return build_data(
        settings.data,
        settings.more_data,
        tokenizer,
        stride=stride,
        length=settings.model.length,
        global_batch_size=loader.global_batch_size,
        batch_size=loader.global_batch_size // (passes(settings, devices) * devices),
        eval_batch_size=loader.eval_batch_size,
        limit_val_batches=settings.trainer.limit_val_batches,
        num_workers=loader.num_workers,
        seed=settings.seed,
    )


def algorithm(
    settings: Settings,
    vocab_size: int,
    average: Average | None = None,
    construct: Construct = called,
) -> Algorithm:
    """The algorithm with a new network, its optimizer and its schedule of learning rates."""
    schedule = settings.lr_scheduler
    factor = pick(SCHEDULES, "lr_scheduler.name", schedule.name)
    return new_algorithm(
        settings,
        vocab_size,
        optimizer=partial(adamw, **asdict(settings.optim)),
        lr_factor=factor(max_steps=settings.trainer.max_steps, **keywords(schedule)),
        average=average,
        construct=construct,
    )


def new_algorithm(settings: Settings, vocab_size: int, **of_training: Any) -> Algorithm:
    """The algorithm with a new network, for weights to be loaded unless it has what trains it."""
    return make_algorithm(
        settings.algo,
        settings.model,
        settings.noise,
        vocab_size,
        seed=settings.seed,
        global_batch_size=settings.loader.global_batch_size,
        sampling_eps=settings.training.sampling_eps,
        antithetic_sampling=settings.training.antithetic_sampling,
        **of_training,
    )


def trainer(
    settings: Settings, callbacks: list[L.Callback], fitting: bool, share_batches: bool = False
) -> L.Trainer:
    """Lightning's Trainer, in training with logs, accumulation and steps over all devices.

    `share_batches` lets it deal out the batches of a plain loader; a data module does so itself.
    """
    warnings.filterwarnings("ignore", message=HOOK)
    asked = settings.trainer
    asked = replace(asked, accelerator=devices.accelerator(asked.accelerator))
    asked = replace(asked, precision=devices.precision(asked))
    strategy = make_strategy(settings.strategy, asked)
    if isinstance(strategy, FullyShardedStrategy):
        callbacks = [EvenValidation(), *callbacks]
        asked = replace(asked, precision="32-true")
    devices.check_launch(asked)
    keywords = asdict(asked) | {
        # The data module counts blocks, the same for any number of devices.
        "limit_val_batches": 0 if fitting and asked.limit_val_batches == 0 else None,
        "strategy": strategy,
        "logger": loggers(settings) if fitting else False,
        "callbacks": [*callbacks, *users_callbacks(settings)],
        "plugins": [AtomicCheckpointIO()],
        "default_root_dir": settings.checkpointing.save_dir,
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": share_batches,
        "enable_model_summary": False,
        "enable_checkpointing": fitting,
        "enable_progress_bar": any(isinstance(one, ProgressBar) for one in callbacks),
    }
    try:
        built = L.Trainer(**keywords)
    except (MisconfigurationException, RuntimeError) as error:  # the latter of Slurm's settings
        raise ValueError(
            f"trainer.accelerator={asked.accelerator}, trainer.devices={asked.devices}: "
            f"{' '.join(str(error).split())}"
        ) from error
    keep_handlers(built)
    if built.strategy.root_device.type == "cpu":
        keep_freed_memory()
    if fitting:
        built.accumulate_grad_batches = passes(settings, built.world_size)
        built.val_check_interval *= built.accumulate_grad_batches
    return built


def make_strategy(strategy: keys.Strategy, trainer: keys.Trainer) -> Strategy | str:
    """Lightning's strategy of that name. `auto` is ddp for several GPUs, and Lightning's choice
    elsewhere and in a notebook, which cannot start processes as a command does."""
    if strategy.name == "fsdp":
        # It has low precision of its own, in the place of Lightning's autocast.
        low = torch.bfloat16 if trainer.precision == "bf16-mixed" else None
        return FullyShardedStrategy(low, strategy.shard_within_node)
    gpus = trainer.accelerator != "cpu" and torch.cuda.is_available()
    several = gpus and devices.processes(trainer) > 1 and not _IS_INTERACTIVE
    if strategy.name == "auto" and not several:
        return "auto"
    # Gradients lie in the buffers that are reduced, which spares a copy of them.
    return DDPStrategy(gradient_as_bucket_view=True)


def root_device(settings: Settings) -> torch.device:
    """Where a mode of one process without a trainer computes: the first of trainer.devices."""
    device: torch.device = trainer(settings, [], fitting=False).strategy.root_device
    return device


def passes(settings: Settings, devices: int) -> int:
    """Forward and backward passes per optimizer step and device."""
    loader = settings.loader
    together, alone = loader.global_batch_size, loader.batch_size
    if alone is None:
        alone = max(1, together // devices)
    return accumulation(together, alone, devices)


def users_callbacks(settings: Settings) -> list[L.Callback]:
    """Lightning's callbacks by name, with their keyword arguments."""
    known = {name: getattr(lightning_callbacks, name) for name in lightning_callbacks.__all__}
    return [
        _callback(name, pick(known, "callbacks", name), arguments or {})
        for name, arguments in settings.callbacks.items()
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
    """CSV, each start of a run a version of its own; TensorBoard and Weights & Biases if asked."""
    directory, every = Path(settings.checkpointing.save_dir), settings.trainer.log_every_n_steps
    made: list[Logger] = [RunLog(directory, name="logs", flush_logs_every_n_steps=every)]
    if settings.tensorboard:
        made.append(TensorBoardLogger(directory, name="tensorboard"))
    wandb = {key: value for key, value in asdict(settings.wandb).items() if value is not None}
    if "project" in wandb or "name" in wandb:
        same = continued(directory, wandb["offline"])
        made.append(WandbLogger(save_dir=str(directory), config=stored(settings), **wandb, **same))
    return made
