"""The likelihood of one text under a run: its record, and its numbers on screen."""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L

from algos.calls import network_calls
from algos.denoising import DiffusionAlgorithm
from data.module import TokenDataModule
from diffusion.logits_warper import LogitsWarper
from evaluation import record_files
from evaluation.batch_cache import BatchCache
from evaluation.fields import ORDER, UNDER
from evaluation.likelihood import BOUND, perplexity_fields
from evaluation.ordered import OrderedNats
from evaluation.passes import PassEvaluator
from evaluation.rounding import figures, with_error
from modes import build, estimate, protocol, provenance, trained_run
from modes.rows import Fields
from modes.settings import typed
from modes.trained_run import TrainedRun
from samplers.orders import Order, make_order
from training.checkpoint import tokens_seen
from training.clock import trained_seconds
from training.memory import PEAK
from training.progress import RunProgress
from training.signals import Stopped, StopSignals


class Evaluation(NamedTuple):
    """The record of one text, its file, and the cache of its passes."""

    fields: Fields
    path: Path
    cache: BatchCache


class Evaluator:
    """Evaluates a run on texts, one after another, in a command of the digest `command`."""

    def __init__(self, run: TrainedRun, signals: StopSignals, command: str):
        self.progress = RunProgress("", 0)
        self.trainer = build.trainer(run.settings, [self.progress], fitting=False)
        self.algorithm = trained_run.restore(run)
        self.signals, self.command = signals, command
        self.single = run.settings.eval.corpora is None
        self.order = order_of(run)

    def __call__(
        self, run: TrainedRun, data: TokenDataModule, show: Callable[[Fields], None]
    ) -> Evaluation | None:
        """Evaluates the blocks of `data` as the settings of `run` say, shows the numbers and writes
        the record; None on every process but the first.

        A record of the same command, written before it was stopped, is shown again and stays."""
        folder, first = run.settings.results, self.trainer.is_global_zero
        key, setting = self._key(run, data), f"results_dir={folder}"
        cache = BatchCache(folder, key, setting, self.command, self.single)
        with cache.held() if first else nullcontext():
            path = cache.recorded()
            if path is not None:
                if not first:
                    return None
                fields = json.loads(path.read_text(encoding="utf-8"))
                show(fields)
                return Evaluation(fields, path, cache)
            evaluator = PassEvaluator(self.algorithm, cache, self.signals, self._exact(run))
            try:
                evaluated = self._evaluate(run, data, evaluator)
                if evaluated is None:
                    return None
                show(evaluated)
                return Evaluation(evaluated, cache.record(folder, evaluated), cache)
            except Stopped:
                evaluator.save()
                count = run.settings.eval.passes if self._kind() == BOUND else 1
                self.signals.kept = (
                    f"{evaluator.ready} of {count} passes and the batches after them are kept; the "
                    f"same command goes on"
                )
                raise

    def _exact(self, run: TrainedRun) -> OrderedNats | None:
        """The nats of the order, if there is one."""
        if self.order is None:
            return None
        assert isinstance(self.algorithm, DiffusionAlgorithm)
        warper = LogitsWarper(run.settings.sampling.temperature)
        return OrderedNats(self.algorithm, self.order, warper)

    def _announce(self, run: TrainedRun, data: TokenDataModule) -> None:
        """Prints the cost of the order, and has the bar count network calls."""
        assert self.order is not None and isinstance(self.algorithm, DiffusionAlgorithm)
        how, length = data.protocol(), run.settings.model.length
        block = length // self.algorithm.blocks_of(length)  # blocks are read side by side
        positions = min(block, length - (how["framing"] == "bos"))
        texts, most = how["blocks"], self.order.steps(positions)
        self.progress.calls = most
        if self.trainer.is_global_zero:
            sign = "at most " if self.order.entropy_bound is not None else ""
            print(
                f"{UNDER}{self.order}: {sign}{most:,} network evaluations per text of {length:,} "
                f"tokens, {texts:,} texts, {sign}{most * texts:,} in all",
                flush=True,
            )

    def _kind(self) -> str:
        """The kind of the record."""
        if self.order is not None:
            return f"{UNDER}{self.order}"
        return BOUND if self.algorithm.nll_is_bound else "exact"

    def _key(self, run: TrainedRun, data: TokenDataModule) -> Any:
        """Everything that the nats of a batch depend on, to the last bit."""
        device = self.trainer.strategy.root_device.type
        how = [run.settings.loader.eval_batch_size, self.trainer.world_size, device]
        settings = [run.settings.eval.passes, asdict(run.settings.model)]
        return [run.digest, identity(run, data, self.trainer), how, settings]

    def _evaluate(
        self, run: TrainedRun, data: TokenDataModule, evaluator: PassEvaluator
    ) -> Fields | None:
        """The fields of the record, on the process that writes it."""
        started, settings, trainer = time.monotonic(), run.settings, self.trainer
        self.progress.description = f"{settings.algo.name} on {data.name}"
        if self.order is not None:
            self._announce(run, data)
        with network_calls(self.algorithm, self.progress.called):
            passes = evaluator.evaluate(trainer, data, settings.eval.passes, settings.eval.times)
        if passes is None:
            return None
        kind, folder = self._kind(), settings.results
        numbers = perplexity_fields(passes, kind, settings.eval.batch_mean, data)
        if self.order is not None:
            numbers["metrics"]["network_evaluations"] = evaluator.evaluations
        directory, step = trained_run.run_directory(run.file), run.checkpoint["global_step"]
        curve = record_files.write_curve(directory, step, folder)
        numbers["metrics"] |= {
            "noise_seed": settings.seed,  # the record's own is that of the training
            "train_seconds": trained_seconds(run.checkpoint),
            "train_flops": trained_flops(run),
            "train_peak_memory_bytes": run.checkpoint.get(PEAK),
            **({} if curve is None else {"curve": curve}),
            "sequences_file": record_files.write_sequences(passes, kind != BOUND, folder),
        }
        device = trainer.strategy.root_device
        about = provenance.provenance(run, self.algorithm, started, device)
        return about | identity(run, data, trainer) | numbers


def trained_flops(run: TrainedRun) -> float | None:
    """Operations of the training of a run of this suite, by the count of estimate=true; those of a
    run that it began with are not in it."""
    if run.model is not None:
        return None
    # The number of states is the run's: its tokenizer may lie elsewhere by now.
    each = estimate.flops_per_token(typed(run.stored), run.vocab_size)
    return tokens_seen(run.checkpoint) * each


def identity(run: TrainedRun, data: TokenDataModule, trainer: L.Trainer) -> Fields:
    """The fields that tell the record of an evaluation from others of the same checkpoint."""
    how, order = protocol.fields(run, data, trainer), order_of(run)
    if order is not None:
        how[ORDER] = order.protocol() | {"temperature": run.settings.sampling.temperature}
    digests = {"digest": how["corpus_digest"], "tokens_sha256": data.store("valid").sha256}
    return {
        "metric": "ppl" if order is None else "ordered_ppl",
        "protocol": how,
        "data": {"name": data.name} | digests,
        "sampler": None,
    }


def order_of(run: TrainedRun) -> Order | None:
    """The order that the likelihood is exact for, if one is named."""
    rule = run.settings.eval.order
    if rule is None:
        return None
    return make_order(run.settings.sampling, rule, run.settings.model.length)


def report(fields: Fields) -> None:
    """Prints the numbers of a record, rounded to their errors."""
    metrics = fields["metrics"]
    error = metrics["nats_per_token_stderr"] if fields["kind"] == BOUND else None
    nats = _shown(fields, metrics["nats_per_token"], error, 5)
    if fields["kind"].startswith(UNDER):
        print(f"{fields['kind']}; {metrics['network_evaluations']:.4g} evaluations per text")
        if metrics["data_stderr"] is not None:
            nats += f", standard error over texts {figures(metrics['data_stderr'])}"
    print(f"perplexity {perplexity(fields)} over {fields['count']:,} tokens")
    print(f"nats per token {nats}", flush=True)
    if "bits_per_byte_absent" in metrics:
        print(f"bits per byte: none, the tokens leave out text: {metrics['bits_per_byte_absent']}")
    elif metrics.get("bits_per_byte") is not None:
        print(f"bits per byte {bits(fields)}")
    if "exact_nats_per_token" in metrics:
        exact, ratio = metrics["exact_nats_per_token"], math.exp(metrics["excess_nats"])
        times = with_error(ratio, ratio * error if error else None, 4)
        print(f"the language's own perplexity here {math.exp(exact):.4f}; ratio {times}")


def perplexity(fields: Fields) -> str:
    """The perplexity of a record, with its error where it is a bound."""
    return _shown(fields, fields["value"], fields["stderr"], 4)


def bits(fields: Fields) -> str:
    """Bits per byte of a record, with an error where they are a bound; empty where it has none."""
    metrics = fields["metrics"]
    value, nats = metrics.get("bits_per_byte"), metrics["nats_per_token"]
    if value is None:
        return ""
    error = metrics["nats_per_token_stderr"]
    error = abs(value / nats) * error if nats and error is not None else None
    return _shown(fields, value, error, 4)


def _shown(fields: Fields, value: float, error: float | None, decimals: int) -> str:
    """A number of a record, with its sign and its error where they are those of a bound."""
    is_bound = fields["kind"] == BOUND
    return with_error(value, error if is_bound else None, decimals, "<= " if is_bound else "")
