"""mode=ppl_eval: perplexity of a trained run on a text, exact or as an upper bound, as one
record."""

import math
import time
from collections.abc import Callable
from typing import Any

from data.markov import MarkovLanguage
from data.module import TokenDataModule
from evaluation.perplexity import Likelihood, bits_per_byte, summarise
from evaluation.quality import unigram_entropy
from evaluation.records import write_record
from evaluation.validation import Validation
from modes import build, saved
from training.progress import RunProgress


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started = time.monotonic()
    run = saved.open_run(settings, overrides)
    validation = Validation()
    progress = RunProgress(f"{run.settings['algo']['name']} on {run.settings['data']['name']}", 0)
    trainer = build.trainer(run.settings, [validation, progress], fitting=False)
    data = build.data(run.settings, devices=1)  # each rank takes its share of the blocks itself
    algorithm = saved.restore(run, data.tokenizer.vocab_size)
    passes = []
    for number in range(settings["eval"]["passes"] if algorithm.nll_is_bound else 1):
        algorithm.evaluation_pass = number
        trainer.validate(algorithm, data, verbose=False)
        assert validation.result is not None
        passes.append(validation.result)
    if not trainer.is_global_zero:
        return
    likelihood = summarise(passes, exact=not algorithm.nll_is_bound)
    fields = saved.evidence(run, algorithm, started) | {
        "metric": "ppl",
        "value": likelihood.perplexity,
        "stderr": likelihood.perplexity_stderr,
        "count": likelihood.tokens,
        "kind": "upper bound" if algorithm.nll_is_bound else "exact",
        "protocol": data.protocol()
        | {"weights": "averaged" if saved.averaged(run) else "raw", "times": "(0, 1)"},
        "data": {"name": data.name, "digest": data.corpus_digests["valid"]},
        "sampler": None,
        "also": also(likelihood, data, run),
    }
    path = write_record(settings["results_dir"], fields)
    report(likelihood, fields["also"], algorithm.nll_is_bound)
    print(f"record: {path}")


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
        "train_seconds": run.checkpoint.get("train_seconds"),
    }
    if data.valid_bytes_per_token:
        values["bits_per_byte"] = bits_per_byte(
            likelihood.nats_per_token, data.valid_bytes_per_token
        )
    if data.language is not None:
        exact = exact_nats_per_token(data, data.language)
        values |= {"exact_nats_per_token": exact, "excess_nats": likelihood.nats_per_token - exact}
    return values


def reference_entropy(data: TokenDataModule) -> float:
    """Mean unigram entropy of the evaluated blocks in nats: what samples of their length aim at."""
    blocks = [
        tokens[scored].numpy()
        for batch in data.val_dataloader()
        for tokens, scored in zip(batch["tokens"], batch["scored"], strict=True)
        if scored.all() or scored[1:].all()  # not the padded last one, whose length differs
    ]
    return unigram_entropy(blocks).mean


def exact_nats_per_token(data: TokenDataModule, language: MarkovLanguage) -> float:
    """What the language itself says of the scored tokens, in nats per token."""
    nats = count = 0.0
    for batch in data.val_dataloader():
        exact = language.nll(batch["tokens"])
        nats += float(exact[batch["scored"]].sum())
        count += int(batch["scored"].sum())
    return nats / count


def report(likelihood: Likelihood, values: dict[str, Any], is_bound: bool) -> None:
    sign = "<= " if is_bound else ""
    error = f" ± {likelihood.perplexity_stderr:.2g}" if is_bound else ""
    print(f"perplexity {sign}{likelihood.perplexity:.4f}{error} over {likelihood.tokens:,} tokens")
    print(f"nats per token {sign}{likelihood.nats_per_token:.5f}")
    if "bits_per_byte" in values:
        print(f"bits per byte {sign}{values['bits_per_byte']:.4f}")
    if "exact_nats_per_token" in values:
        exact = values["exact_nats_per_token"]
        ratio = math.exp(values["excess_nats"])
        print(f"the language's own perplexity here {math.exp(exact):.4f}; ratio {ratio:.4f}")
