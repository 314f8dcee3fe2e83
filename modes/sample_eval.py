"""mode=sample_eval: texts from a trained run, on screen and in a file, and their statistics as one
record."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from algos.base import Algorithm
from data.tokenizers import Tokenizer, make_tokenizer
from diffusion.times import seed_of
from evaluation.quality import distinct_n, repetition, unigram_entropy
from evaluation.records import write_record
from modes import build, saved
from samplers import SAMPLERS
from samplers.ancestral import uniform_grid

GRAMS: dict[str, tuple[Callable[[np.ndarray], float], int]] = {  # and the tokens that each needs
    "distinct_1": (partial(distinct_n, n=1), 1),
    "distinct_2": (partial(distinct_n, n=2), 2),
    "distinct_3": (partial(distinct_n, n=3), 3),
    "repetition": (lambda tokens: repetition(tokens).mean, 4),
}


def run(settings: build.Settings, overrides: list[str], compose: Callable[..., Any]) -> None:
    started = time.monotonic()
    run = saved.open_run(settings, overrides)
    tokenizer = make_tokenizer(run.settings["data"]["tokenizer_name_or_path"])
    algorithm = saved.restore(run, tokenizer.vocab_size)
    options = settings["sampling"]
    longest = run.settings["model"]["length"]
    length = options["length"] or longest
    if not 2 <= length <= longest:
        raise ValueError(f"sampling.length={length}: between 2 and model.length={longest}")
    name = options["predictor"] or run.settings["algo"]["predictors"][0]
    prompt = beginning(run.settings, tokenizer)
    trainer = build.trainer(run.settings, [], fitting=False, share_batches=True)
    algorithm.sampling = partial(
        sample_batch,
        shape=(settings["loader"]["eval_batch_size"], length),
        sampler=sampler(name, options),
        prompt=prompt,
        seed=settings["seed"],
    )
    algorithm.temperature = options["temperature"]
    most = length - len(prompt) if name == "ar" else options["steps"]
    began = time.monotonic()
    tokens = draw(trainer, algorithm, options["num_sample_batches"], most)
    if not trainer.is_global_zero:
        return
    seconds = time.monotonic() - began
    file = write_samples(run, name, options, tokens, tokenizer)
    fields = saved.evidence(run, algorithm, started) | statistics(tokens[:, len(prompt) :].numpy())
    calls = algorithm.network_evaluations / -(-options["num_sample_batches"] // trainer.world_size)
    fields["also"] |= {
        "network_evaluations": calls,
        "tokens_per_second": tokens.numel() / seconds,
        "samples": str(file),
    }
    sampled = {"predictor": name, "length": length, "temperature": options["temperature"]}
    fields |= {
        "seed": settings["seed"],
        "protocol": sampled | {"steps": None if name == "ar" else options["steps"]},
        "sampler": sampled | {"steps": options["steps"], "network_evaluations": calls},
        "data": {"name": run.settings["data"]["name"], "digest": tokenizer.digest},
    }
    path = write_record(settings["results_dir"], fields)
    report(tokens, tokenizer, fields, options["show"])
    print(f"samples: {file}\nrecord: {path}")


def beginning(settings: build.Settings, tokenizer: Tokenizer) -> list[int]:
    """What every text of the run begins with."""
    if settings["data"]["framing"] != "none":
        return [tokenizer.bos]
    if settings["algo"]["name"] == "ar":
        raise ValueError(
            "data.framing=none: an ar run without BOS has nothing to begin a text with"
        )
    return []


def sampler(name: str, options: dict[str, Any]) -> Callable[..., Tensor]:
    """The sampling loop with its own options bound."""
    if name == "ar":
        return SAMPLERS[name]
    return partial(SAMPLERS[name], grid=uniform_grid(options["steps"]))


def sample_batch(
    algorithm: Algorithm,
    number: int,
    shape: tuple[int, int],
    sampler: Callable[..., Tensor],
    prompt: list[int],
    seed: int,
) -> Tensor:
    """Batch `number` of the samples, the same on whichever device it is drawn."""
    torch.manual_seed(seed_of(seed, number))
    start = torch.tensor(prompt, dtype=torch.long, device=algorithm.device).expand(shape[0], -1)
    return algorithm.sample(shape, sampler, start)


def draw(trainer: L.Trainer, algorithm: Algorithm, batches: int, most: int) -> Tensor:
    """All batches (S, L) on the CPU, drawn by all devices, in the order of their numbers; `most`
    network calls a batch, for the estimate of the time left."""

    def count(*_: Any) -> None:  # a value would replace the network's output
        bar.update()

    numbers: Any = range(batches)
    loader: Any = DataLoader(numbers, batch_size=1)
    total, hidden = -(-batches // trainer.world_size) * most, not trainer.is_global_zero
    with tqdm(desc="network calls", total=total, unit="call", disable=hidden) as bar:
        hook = algorithm.backbone.register_forward_hook(count)
        drawn: Any = trainer.predict(algorithm, loader)
        hook.remove()
    parts = [drawn]
    if torch.distributed.is_initialized():
        parts = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, drawn)
    ordered = sorted((pair for part in parts for pair in part), key=lambda pair: pair[0])
    return torch.cat([tokens for _, tokens in ordered])


def statistics(tokens: np.ndarray) -> dict[str, Any]:
    """Fields of the record that describe the samples: entropy in nats, distinct n-grams,
    repetition."""
    entropy, length = unigram_entropy(tokens), tokens.shape[1]
    return {
        "metric": "entropy",
        "value": entropy.mean,
        "stderr": entropy.stderr,
        "count": len(tokens),
        "kind": "estimate",
        "also": {name: metric(tokens) for name, (metric, n) in GRAMS.items() if n <= length},
    }


def write_samples(
    run: saved.Saved, name: str, options: dict[str, Any], tokens: Tensor, tokenizer: Tokenizer
) -> Path:
    """A JSON file of texts and tokens in the run directory, named by time and content."""
    texts = [{"text": tokenizer.decode(row), "tokens": row} for row in tokens.tolist()]
    content = json.dumps({"sampling": options, "samples": texts}, ensure_ascii=False)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    mark = hashlib.sha256(content.encode()).hexdigest()[:8]
    folder = run.file.parent.parent / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{stamp}-{name}-{options['steps']}-{mark}.json"
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(content, encoding="utf-8")
    beside.replace(file)
    return file


def report(tokens: Tensor, tokenizer: Tokenizer, fields: dict[str, Any], show: int) -> None:
    for number, row in enumerate(tokens[:show].tolist(), start=1):
        print(f"--- sample {number}\n{tokenizer.decode(row)}")
    also = fields["also"]
    print(f"--- {len(tokens)} samples of {tokens.shape[1]} tokens")
    error = "" if fields["stderr"] is None else f" ± {fields['stderr']:.2g}"
    print(f"entropy {fields['value']:.3f}{error} nats; ", end="")
    print("; ".join(f"{name} {also[name]:.3f}" for name in GRAMS if name in also))
    calls, speed = also["network_evaluations"], also["tokens_per_second"]
    print(f"{calls:.4g} network calls a batch, {speed:,.0f} tokens per second")
