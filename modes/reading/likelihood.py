"""A run reads a text: passes over its blocks, one perplexity, one record."""

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L

from algos.base import Algorithm
from data.markov import MarkovLanguage
from data.module import TokenDataModule
from evaluation.perplexity import Likelihood, bits_per_byte, summarise
from evaluation.quality import unigram_entropy
from evaluation.records import write_record
from evaluation.rounding import with_error
from evaluation.validation import Validation
from modes import build, saved
from modes.reading import attached, protocol
from training.clock import trained_seconds
from training.memory import PEAK
from training.progress import RunProgress


class Reader(NamedTuple):
    """A trained network and what runs it over texts, one after another."""

    algorithm: Algorithm
    trainer: L.Trainer
    validation: Validation
    progress: RunProgress


class Reading(NamedTuple):
    """What came of one text."""

    likelihood: Likelihood
    fields: dict[str, Any]  # of its record
    path: Path


def reader(run: saved.Saved, vocab_size: int) -> Reader:
    validation, progress = Validation(), RunProgress("", 0)
    trainer = build.trainer(run.settings, [validation, progress], fitting=False)
    return Reader(saved.restore(run, vocab_size), trainer, validation, progress)


def read(run: saved.Saved, data: TokenDataModule, by: Reader) -> Reading | None:
    """Evaluates the blocks of `data` as the settings of `run` say, and writes the record; None on
    every process but the first."""
    started, chosen = time.monotonic(), run.settings["eval"]
    algorithm, trainer = by.algorithm, by.trainer
    by.progress.description = f"{run.settings['algo']['name']} on {data.name}"
    algorithm.evaluation_range = chosen["times"]
    passes = []
    algorithm.evaluation_passes = chosen["passes"] if algorithm.nll_is_bound else 1
    for number in range(algorithm.evaluation_passes):
        algorithm.evaluation_pass = number
        trainer.validate(algorithm, data, verbose=False)
        assert by.validation.result is not None
        passes.append(by.validation.result)
    if not trainer.is_global_zero:
        return None
    exact = not algorithm.nll_is_bound
    likelihood = summarise(passes, exact=exact, batch=chosen["batch_mean"])
    folder = Path(run.settings["results_dir"])
    files = {
        "curve": attached.curve_file(run, folder),
        "sequences_file": attached.sequences_file(passes, exact, folder),
    }
    fields = saved.evidence(run, algorithm, started, trainer.strategy.root_device)
    fields |= identity(run, data, trainer)
    fields |= {
        "value": likelihood.perplexity,
        "stderr": likelihood.perplexity_stderr,
        "count": likelihood.tokens,
        "kind": "exact" if exact else "upper bound",
        "also": also(likelihood, data, run) | {k: v for k, v in files.items() if v is not None},
    }
    return Reading(likelihood, fields, write_record(folder, fields))


def identity(run: saved.Saved, data: TokenDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """What tells the record of an evaluation from those of others of the same checkpoint."""
    how = protocol.fields(run, data, trainer)
    return {
        "metric": "ppl",
        "protocol": how,
        "data": {"name": data.name, "digest": how["corpus_digest"]},
        "sampler": None,
    }


def also(likelihood: Likelihood, data: TokenDataModule, run: saved.Saved) -> dict[str, Any]:
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
    if data.valid_bytes_per_token:
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
    return unigram_entropy(blocks).mean if blocks else None


def exact_nats_per_token(data: TokenDataModule, language: MarkovLanguage) -> float:
    """What the language itself says of the scored tokens, in nats per token."""
    nats = count = 0.0
    for batch in data.val_dataloader():
        exact = language.nll(batch["tokens"])
        nats += float(exact[batch["scored"]].sum())
        count += int(batch["scored"].sum())
    return nats / count


def in_bits(bits: float, likelihood: Likelihood, sign: str) -> str:
    """Bits per byte, with the error of the nats that they are."""
    nats = likelihood.nats_per_token
    error = likelihood.stderr * abs(bits / nats) if sign and nats else None
    return with_error(bits, error, 4, sign)


def report(reading: Reading) -> None:
    likelihood, values = reading.likelihood, reading.fields["also"]
    is_bound = reading.fields["kind"] != "exact"
    sign = "<= " if is_bound else ""
    errors = (likelihood.perplexity_stderr, likelihood.stderr) if is_bound else (None, None)
    ppl = with_error(likelihood.perplexity, errors[0], 4, sign)
    print(f"perplexity {ppl} over {likelihood.tokens:,} tokens")
    print(f"nats per token {with_error(likelihood.nats_per_token, errors[1], 5, sign)}")
    if "bits_per_byte" in values:
        print(f"bits per byte {in_bits(values['bits_per_byte'], likelihood, sign)}")
    if "exact_nats_per_token" in values:
        exact = values["exact_nats_per_token"]
        ratio = math.exp(values["excess_nats"])
        said = with_error(ratio, ratio * errors[1] if errors[1] else None, 4)
        print(f"the language's own perplexity here {math.exp(exact):.4f}; ratio {said}")
    print(f"record: {reading.path}")
