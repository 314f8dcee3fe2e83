"""A folder of made-up results, as trainings and evaluations of several algorithms leave them."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from evaluation.records import write_record

PERPLEXITY = {
    "ar": 7.85,
    "mdlm": 10.9,
    "d3pm": 12.4,
    "sedd": 11.6,
    "sedd_uniform": 16.1,
    "udlm": 14.2,
    "duo": 13.7,
    "gidd": 12.9,
}
SCORER = {"scorer": "outputs/stdlib/ar-nano/seed7", "scorer_digest": "0f" * 32, "algo": "ar"}
HARDWARE = {"cpu": "Example(R) Processor", "cores": 2, "threads": 2, "gpu": None, "gpus": 0}
TEXTS = (
    "def __init__(self, path):\n    self.path = os.fspath(path)\n",
    "<script>alert('not a script')</script> & \"quotes\" \u2028 日本 🙂 \x00\x1b[31m",
    "The lazy dog " * 400,
)


def write(
    folder: Path,
    algos: Sequence[str] = tuple(PERPLEXITY),
    seeds: Sequence[int] = (1, 2, 3),
    steps: Sequence[int] = (4, 8, 16, 32, 64, 128),
    data: str = "stdlib",
    tokenizer: str = "bytes",
    length: int = 128,
) -> Path:
    """Records in `folder`, samples and curves beside them: for every algorithm and seed a
    perplexity, for every number of steps the statistics of 64 texts."""
    for algo in algos:
        for seed in seeds:
            rng = Random(f"{algo} {seed} {data}")
            run = _run(folder, algo, seed, data, length)
            run["also_curve"] = _curve(folder, PERPLEXITY[algo], rng)
            _perplexity(folder, run, rng, tokenizer)
            for number in steps if algo != "ar" else [None]:
                _samples(folder, run, rng, number)
    return folder


def _run(folder: Path, algo: str, seed: int, data: str, length: int) -> dict[str, Any]:
    mark = hashlib.sha256(f"{algo} {seed} {data}".encode()).hexdigest()
    return {
        "algo": algo,
        "network": {"name": "nano", "parameters": 1_300_000, "vocab_size": 257, "outputs": 257},
        "training": {
            "corpus": data,
            "steps": 1000,
            "tokens": 4_096_000,
            "seed": seed,
            "averaged_weights": True,
            "checkpoint_digest": mark,
            "checkpoint": f"outputs/{data}/{algo}-nano/seed{seed}/checkpoints/last.ckpt",
            "finetuned_from": None,
        },
        "seed": seed,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "hardware": HARDWARE,
        "peak_memory_bytes": 600_000_000,
        "config": {
            "algo": {"name": algo},
            "data": {"name": data},
            "model": {"name": "nano", "length": length},
            "seed": seed,
        },
    }


def _perplexity(folder: Path, run: dict[str, Any], rng: Random, tokenizer: str) -> Path:
    exact = run["algo"] == "ar"
    value = PERPLEXITY[run["algo"]] * (1 + 0.01 * rng.gauss(0, 1))
    data, length = run["training"]["corpus"], run["config"]["model"]["length"]
    protocol = {"framing": "bos", "packing": "wrap", "split": "valid", "crop": None}
    protocol |= {"length": length, "tokenizer": tokenizer, "tokenizer_digest": "7" * 64}
    metrics = {
        "nats_per_token": math.log(value),
        "bits_per_byte": math.log2(value),
        "reference_entropy": 2.745,
        "train_seconds": 52.0 + rng.random() * 9,
        "curve": run["also_curve"],
        "passes": 1 if exact else 4,
    }
    fields = {name: part for name, part in run.items() if name != "also_curve"} | {
        "metric": "ppl",
        "value": value,
        "stderr": 0.0 if exact else 0.006 * value,
        "count": 102_300,
        "kind": "exact" if exact else "upper bound",
        "protocol": protocol | {"times": "(0, 1)", "weights": "averaged"},
        "data": {"name": data, "digest": "d" * 64},
        "sampler": None,
        "wall_time_s": 11.0,
        "created": _time(rng),
        "metrics": metrics,
    }
    return write_record(folder, fields)


def _samples(folder: Path, run: dict[str, Any], rng: Random, steps: int | None) -> Path:
    best = PERPLEXITY[run["algo"]] * 0.9
    gen_ppl = best * (1 + 3.0 / (steps or 128)) * (1 + 0.01 * rng.gauss(0, 1))
    entropy = 2.72 + 0.3 / (steps or 128) + 0.02 * rng.gauss(0, 1)
    calls = float(steps or run["config"]["model"]["length"])
    how = {"predictor": "ar" if steps is None else "ancestral", "temperature": 1.0, "steps": steps}
    how |= {"length": run["config"]["model"]["length"], "scorer": SCORER, "quality": "default"}
    fields = {name: part for name, part in run.items() if name != "also_curve"} | {
        "metric": "samples",
        "value": entropy,
        "stderr": 0.03,
        "count": 64,
        "kind": "estimate",
        "protocol": how,
        "data": {"name": run["training"]["corpus"], "digest": "7" * 64},
        "sampler": how | {"network_evaluations": calls},
        "wall_time_s": 30.0,
        "created": _time(rng),
        "metrics": {
            "gen_ppl": gen_ppl,
            "gen_ppl_stderr": 0.03 * gen_ppl,
            "gen_ppl_scorer": SCORER,
            "quality_protocol": {"name": "default"},
            "distinct_2": 0.17,
            "divergence": 0.02 * best + 1.5 / (steps or 128) + 0.01 * rng.gauss(0, 1),
            "divergence_stderr": 0.02,
            "reference_entropy": 2.745,
            "network_evaluations": calls,
            "seconds": 64 * 0.004 * calls,
            "tokens_per_second": 32_000 / calls,
            "samples": str(_texts(folder, rng)),
        },
    }
    return write_record(folder, fields)


def _texts(folder: Path, rng: Random) -> Path:
    place = folder / "samples"
    place.mkdir(parents=True, exist_ok=True)
    texts = [*rng.sample(TEXTS, len(TEXTS)), f"text {rng.random()}"]
    samples = [{"text": text, "tokens": [1, 2, 3]} for text in texts]
    content = json.dumps({"sampling": {"steps": 8}, "tokenizer": "7" * 64, "samples": samples})
    file = place / f"{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
    file.write_text(content, encoding="utf-8")
    return file


def _curve(folder: Path, perplexity: float, rng: Random) -> str:
    lines = ["step,tokens,seconds,nats_per_token,nats_stderr"]
    for step in range(50, 1001, 50):
        nats = math.log(perplexity) + 2.5 * math.exp(-step / 200) + 0.02 * rng.gauss(0, 1)
        lines.append(f"{step},{step * 4096},{step * 0.055:.3f},{nats:.5f},0.02")
    content = "\n".join(lines) + "\n"
    name = f"curves/{hashlib.sha256(content.encode()).hexdigest()[:16]}.csv"
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return name


def _time(rng: Random) -> str:
    return f"2026-01-{rng.randint(1, 28):02d}T12:{rng.randint(0, 59):02d}:00+00:00"
