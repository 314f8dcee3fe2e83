"""A run reads a text: passes over its blocks, one perplexity, one record."""

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L

from algos.base import Algorithm, Draws
from data.markov import MarkovLanguage
from data.module import TokenDataModule
from evaluation import record_files
from evaluation.batch_cache import BatchCache
from evaluation.passes import PassReader
from evaluation.perplexity import Likelihood, Pass, bits_per_byte, summarise
from evaluation.rounding import with_error
from evaluation.sample_quality.metrics import unigram_entropy
from modes import build, protocol, trained_run
from modes.trained_run import TrainedRun
from training.clock import trained_seconds
from training.memory import PEAK
from training.progress import RunProgress
from training.signals import Stopped, StopSignals

NATS = ("nats_per_token", "nats_per_token_stderr")  # of a record


class Reader(NamedTuple):
    """A trained network and what runs it over texts, one after another, in a command of the digest
    `command`."""

    algorithm: Algorithm
    trainer: L.Trainer
    progress: RunProgress
    signals: StopSignals
    command: str
    alone: bool  # whether the command reads one text


class Reading(NamedTuple):
    """The record of one text, and what was kept until it was written."""

    fields: dict[str, Any]
    path: Path
    cache: BatchCache


def reader(run: TrainedRun, vocab_size: int, signals: StopSignals, command: str) -> Reader:
    progress = RunProgress("", 0)
    trainer = build.trainer(run.settings, [progress], fitting=False)
    alone = run.settings["eval"]["corpora"] is None
    return Reader(trained_run.restore(run, vocab_size), trainer, progress, signals, command, alone)


def read(
    run: TrainedRun,
    data: TokenDataModule,
    by: Reader,
    show: Callable[[dict[str, Any]], None],
) -> Reading | None:
    """Evaluates the blocks of `data` as the settings of `run` say, shows the numbers and writes the
    record; None on every process but the first.

    What the same command recorded before it was stopped is shown again and left as it is."""
    folder, first = Path(run.settings["results_dir"]), by.trainer.is_global_zero
    key, setting = batch_key(run, data, by), f"results_dir={folder}"
    cache = BatchCache(folder, key, setting, by.command, by.alone)
    with cache.held() if first else nullcontext():
        path = cache.recorded()
        if path is not None:
            if not first:
                return None
            fields = json.loads(path.read_text(encoding="utf-8"))
            show(fields)
            return Reading(fields, path, cache)
        reader = PassReader(by.algorithm, cache, by.signals)
        try:
            evaluated = evaluate(run, data, by, reader)
            if evaluated is None:
                return None
            show(evaluated)
            return Reading(evaluated, cache.record(folder, evaluated), cache)
        except Stopped:
            reader.keep()
            by.signals.kept = (
                f"{reader.ready} of {passes_of(run, by.algorithm)} passes and the batches after "
                f"them are kept; the same command goes on"
            )
            raise


def batch_key(run: TrainedRun, data: TokenDataModule, by: Reader) -> Any:
    """All that the nats of a batch depend on, to the last bit."""
    device = by.trainer.strategy.root_device.type
    how = [run.settings["loader"]["eval_batch_size"], by.trainer.world_size, device]
    settings = [run.settings["eval"]["passes"], run.settings["model"]]
    return [run.digest, identity(run, data, by.trainer), how, settings]


def evaluate(
    run: TrainedRun, data: TokenDataModule, by: Reader, reader: PassReader
) -> dict[str, Any] | None:
    """The fields of the record, on the process that writes it."""
    started, chosen, algorithm = time.monotonic(), run.settings["eval"], by.algorithm
    by.progress.description = f"{run.settings['algo']['name']} on {data.name}"
    count = passes_of(run, algorithm)
    # One process stops anywhere; several after a batch, where they agree.
    with by.signals.deferred() if by.trainer.world_size > 1 else nullcontext():
        draws = [Draws(number, count, chosen["times"]) for number in range(count)]
        passes = [reader.read(by.trainer, data, one) for one in draws]
    if not by.trainer.is_global_zero:
        return None
    data.trainer = None  # of all blocks, not of those of this process
    return fields_of(run, data, by, passes, started)


def passes_of(run: TrainedRun, algorithm: Algorithm) -> int:
    return run.settings["eval"]["passes"] if algorithm.nll_is_bound else 1


def fields_of(
    run: TrainedRun,
    data: TokenDataModule,
    by: Reader,
    passes: Sequence[Pass],
    started: float,
) -> dict[str, Any]:
    """The fields of a record, with the files beside it."""
    exact = not by.algorithm.nll_is_bound
    likelihood = summarise(passes, exact=exact, batch=run.settings["eval"]["batch_mean"])
    folder = Path(run.settings["results_dir"])
    files = {
        "curve": record_files.curve_file(
            trained_run.run_directory(run.file), run.checkpoint["global_step"], folder
        ),
        "sequences_file": record_files.sequences_file(passes, exact, folder),
    }
    fields = trained_run.provenance(run, by.algorithm, started, by.trainer.strategy.root_device)
    fields |= identity(run, data, by.trainer)
    return fields | {
        "value": likelihood.perplexity,
        "stderr": likelihood.perplexity_stderr,
        "count": likelihood.tokens,
        "kind": "exact" if exact else "upper bound",
        "metrics": metrics(likelihood, data, run)
        | {k: v for k, v in files.items() if v is not None},
    }


def identity(run: TrainedRun, data: TokenDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """What tells the record of an evaluation from those of others of the same checkpoint."""
    how = protocol.fields(run, data, trainer)
    return {
        "metric": "ppl",
        "protocol": how,
        "data": {
            "name": data.name,
            "digest": how["corpus_digest"],
            "tokens_sha256": data.store("valid").sha256,
        },
        "sampler": None,
    }


def metrics(likelihood: Likelihood, data: TokenDataModule, run: TrainedRun) -> dict[str, Any]:
    """What stands beside the perplexity in a record."""
    values: dict[str, Any] = {
        "nats_per_token": likelihood.nats_per_token,
        "nats_per_token_stderr": likelihood.stderr,
        "stderr_from": likelihood.stderr_from,
        "data_stderr": likelihood.data_stderr,
        "sequences": likelihood.sequences,
        "passes": likelihood.passes,
        "reference_entropy": reference_entropy(data),
        "train_seconds": trained_seconds(run.checkpoint),
        "train_peak_memory_bytes": run.checkpoint.get(PEAK),  # older runs do not say
    }
    if data.valid_unsaid:
        values["bits_per_byte"] = None
        values["bits_per_byte_absent"] = "; ".join(data.valid_unsaid)
    elif data.valid_bytes_per_token:
        values["bits_per_byte"] = bits_per_byte(
            likelihood.nats_per_token, data.valid_bytes_per_token
        )
    if data.language is not None:
        exact = exact_nats_per_token(data, data.language)
        values |= {"exact_nats_per_token": exact, "excess_nats": likelihood.nats_per_token - exact}
    return values


def reference_entropy(data: TokenDataModule) -> float | None:
    """Mean unigram entropy of the evaluated blocks in nats: what samples of their length aim at.
    None where no block is full, as of short texts."""
    blocks = [
        tokens[scored].numpy()
        for batch in data.val_dataloader()
        for tokens, scored in zip(batch["tokens"], batch["scored"], strict=True)
        if scored.all() or scored[1:].all()  # not the padded last one, whose length differs
    ]
    return unigram_entropy(blocks) if blocks else None


def exact_nats_per_token(data: TokenDataModule, language: MarkovLanguage) -> float:
    """What the language itself says of the scored tokens, in nats per token."""
    nats = count = 0.0
    for batch in data.val_dataloader():
        exact = language.nll(batch["tokens"])
        nats += float(exact[batch["scored"]].sum())
        count += int(batch["scored"].sum())
    return nats / count


def report(fields: dict[str, Any]) -> None:
    """The numbers of a record on screen, rounded to their errors."""
    metrics, bound = fields["metrics"], fields["kind"] != "exact"
    sign = "<= " if bound else ""
    errors = (fields["stderr"], metrics["nats_per_token_stderr"]) if bound else (None, None)
    print(
        f"perplexity {with_error(fields['value'], errors[0], 4, sign)} "
        f"over {fields['count']:,} tokens"
    )
    nats = with_error(metrics["nats_per_token"], errors[1], 5, sign)
    print(f"nats per token {nats}", flush=True)
    if "bits_per_byte_absent" in metrics:
        print(f"bits per byte: none, the tokens leave out text: {metrics['bits_per_byte_absent']}")
    elif metrics.get("bits_per_byte") is not None:
        print(f"bits per byte {in_bits(fields)}")
    if "exact_nats_per_token" in metrics:
        exact, ratio = metrics["exact_nats_per_token"], math.exp(metrics["excess_nats"])
        said = with_error(ratio, ratio * errors[1] if errors[1] else None, 4)
        print(f"the language's own perplexity here {math.exp(exact):.4f}; ratio {said}")


def in_bits(fields: dict[str, Any]) -> str:
    """Bits per byte, with the error of the nats that they are."""
    metrics, bound = fields["metrics"], fields["kind"] != "exact"
    bits, nats, error = (metrics[key] for key in ("bits_per_byte", *NATS))
    error = abs(bits / nats) * error if bound and nats and error is not None else None
    return with_error(bits, error, 4, "<= " if bound else "")
