"""mode=train: from nothing, from another run's weights, or from the last checkpoint of the same
run, to trainer.max_steps or for training.max_seconds."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import lightning as L

from algos.base import Algorithm
from algos.build import called
from data.tokenizers import Tokenizer, make_tokenizer
from evaluation.validation import Validation
from modes import build, devices
from modes.checks.combinations import starts_from
from modes.imported import read_source
from modes.run_settings import tokenizer_name
from modes.settings import Compose, Settings, stored, typed
from modes.train.resume import Start, check_data, resumed
from modes.trained_run import data_digests
from storage import holding
from training import finetune
from training.clock import Clock
from training.curve import CURVE
from training.curve_callback import Curve
from training.ema import EMA
from training.memory import PeakMemory
from training.progress import RunProgress
from training.saving import Checkpoints
from training.sharding import FullyShardedStrategy
from training.signals import StopSignals, is_first_process

LOCK = ".lock"
KEPT = "nothing is lost since the last checkpoint; the same command goes on from there"


def run(settings: Settings, overrides: list[str], compose: Compose) -> None:
    directory = Path(settings.checkpointing.save_dir)
    # One command at a time may write there: its first process holds the folder.
    lock = holding(directory / LOCK, f"checkpointing.save_dir={directory}")
    with StopSignals(KEPT) as signals, lock if is_first_process() else nullcontext():
        start = resumed(settings)
        if has_finished(start, settings):
            print(f"{directory}: has {budget(settings)} already")
            return
        train(settings, start, signals)


def train(settings: Settings, start: Start, signals: StopSignals) -> None:
    """From where the run stands to its end, or to a signal."""
    begins, decay = starts_from(settings), settings.training.ema
    clock, ema = Clock(settings.training.max_seconds), EMA(decay) if decay else None
    source = None if begins is None else read_source(begins, settings)
    finished = has_reached(start, settings)
    directory = settings.checkpointing.save_dir
    checkpoints = Checkpoints(
        Path(directory),
        settings.checkpointing.every_n_steps,
        stored(settings),
        signals,
        data_digests=lambda: data_digests(data),
        finetuned_from=source.provenance if source else None,
        finished=finished,
    )
    # The average comes first: the callbacks after it look at averaged weights in validation.
    averages: list[L.Callback] = [ema] if ema else []
    callbacks = [*averages, *training_callbacks(settings, clock), checkpoints]
    trainer = build.trainer(settings, callbacks, fitting=True)
    if clock.limit is not None or finished:
        trainer.fit_loop.epoch_loop.max_steps = -1  # it lays out schedules, no more
    data = build.data(settings, trainer.world_size)
    check_data(start, data, settings)
    average = (lambda: ema.average) if ema else None
    states = source.vocab_size if source else start.vocab_size
    devices.check_kernels(settings.model, trainer.strategy.root_device)
    network = settings.model
    if network.compile is None:
        network = replace(network, compile=devices.compiles(trainer.strategy.root_device))
    states = states or data.tokenizer.vocab_size
    sharded = trainer.strategy if isinstance(trainer.strategy, FullyShardedStrategy) else None
    construct = sharded.construct if sharded else called
    algorithm = build.algorithm(replace(settings, model=network), states, average, construct)
    report = begin(algorithm, source, settings, data.tokenizer, sharded) if source else []
    if trainer.is_global_zero:
        for line in report:
            print(line)
    trainer.fit(algorithm, data, ckpt_path=start.checkpoint, weights_only=True)
    if trainer.is_global_zero:
        taken = clock.seconds() - start.seconds
        print(f"{name_of(settings)}: {trainer.global_step} steps, {taken:.0f} s; {directory}")


def name_of(settings: Settings) -> str:
    return f"{settings.algo.name} on {settings.data.name}"


def training_callbacks(settings: Settings, clock: Clock) -> list[L.Callback]:
    """Clock, validation, progress bar, learning curve, memory."""
    tokens = settings.loader.global_batch_size * settings.model.length
    curve = Path(settings.checkpointing.save_dir) / CURVE
    progress = RunProgress(name_of(settings), tokens, clock)
    return [clock, Validation(), progress, Curve(curve, tokens, clock.seconds), PeakMemory()]


def has_finished(start: Start, settings: Settings) -> bool:
    """Whether nothing is left to do."""
    return has_reached(start, settings) and not start.owes_validation


def has_reached(start: Start, settings: Settings) -> bool:
    """Whether a run has all the steps, or all the seconds, that the settings ask for."""
    limit = settings.training.max_seconds
    if limit is None:
        return start.step >= settings.trainer.max_steps
    return start.seconds >= limit


def budget(settings: Settings) -> str:
    """The setting that ends a run, for a message."""
    limit = settings.training.max_seconds
    if limit is None:
        return f"trainer.max_steps={settings.trainer.max_steps} steps"
    return f"training.max_seconds={limit:g} seconds"


def begin(
    algorithm: Algorithm,
    source: finetune.Source,
    settings: Settings,
    tokenizer: Tokenizer,
    sharded: FullyShardedStrategy | None = None,
) -> list[str]:
    """Lines about the weights of `source` that `algorithm` takes over, or a `sharded` strategy for
    it; ValueError where they would mean something else here."""
    key = f"training.finetune_path={settings.training.finetune_path}"
    before = typed(source.config)
    there, here = tokenizer_name(before.data), tokenizer_name(settings.data)
    if (source.tokenizer_digest or digest_of(there, key)) != tokenizer.digest:
        differs = f"not {here}" if there != here else "of another content"
        raise ValueError(
            f"{key}: the run there has data.tokenizer_name_or_path={there}, {differs}: "
            f"its tokens mean something else"
        )
    heads, asked = before.model.n_heads, settings.model.n_heads
    if heads != asked:
        raise ValueError(
            f"{key}: the run there has model.n_heads={heads}, not {asked}: "
            f"its attention would mean something else"
        )
    about = source.provenance
    step = "" if about["steps"] is None else f"step {about['steps']}, "
    kind = f"{about['algo']}, {step}{about['weights']} weights"
    parts = (sharded.rows, sharded.own) if sharded else ()
    first, *rest = finetune.take(algorithm, source, *parts).report()
    if sharded:
        sharded.check = source.check
    return [f"{key} ({kind}): {first}", *rest]


def digest_of(tokenizer: str, key: str) -> str:
    """The digest of the tokenizer of another run, which need not be on this machine."""
    try:
        return make_tokenizer(tokenizer).digest
    except ValueError as error:
        raise ValueError(f"{key}: the tokenizer of the run there: {error}") from error
