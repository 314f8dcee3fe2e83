"""A folder of made-up entries of a track, as its benchmark leaves them, and changes of them."""

import copy
import functools
import hashlib
import math
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir

import main
from evaluation.records import write_record
from modes.settings import stored
from tests.conftest import merged

CLEAN = "0123456789abcdef0123456789abcdef01234567"
HARDWARE = {"cpu": "Example(R) Processor", "cores": 2, "threads": 2, "gpu": None, "gpus": 0}
FLOPS = {"ar": 1.27e12, "mdlm": 1.3e12}
PER_STEP, STEPS, EVERY = 16 * 128, 488, 30  # of shakespeare-1M: 16 points and the end


def composed(*overrides: str) -> dict[str, Any]:
    """The settings of a command, a copy of its own for each caller."""
    return copy.deepcopy(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        return stored(main.compose(list(overrides)))


def curve(folder: Path, steps: int, every: int, nats: Any, per_step: int = PER_STEP) -> str:
    """The name of a curve of `nats(step)` at every so many steps and the last."""
    lines = ["step,tokens,seconds,nats_per_token,nats_stderr"]
    for step in sorted({*range(every, steps + 1, every), steps}):
        lines.append(f"{step},{step * per_step},{step * 0.1:.3f},{nats(step):.6f},0.01")
    content = "\n".join(lines) + "\n"
    name = f"curves/{hashlib.sha256(content.encode()).hexdigest()[:16]}.csv"
    (folder / "curves").mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)
    return name


def write(
    folder: Path, track: str, algo: str, seed: int, last: float, nats: Any, /, **changes: Any
) -> Path:
    """A likelihood of an entry whose curve is `nats` and whose loss at the end is `last`."""
    config = composed(f"track={track}", f"algo={algo}") | {"seed": seed}
    rules, per_step = config["track"], 16 * config["model"]["length"]
    steps = 1600 if rules["epochs"] else STEPS
    every = 25 if rules["epochs"] else EVERY
    mark = hashlib.sha256(f"{track} {algo} {seed}".encode()).hexdigest()
    exact = algo == "ar"
    protocol = {"blocks": rules["blocks"], "corpus_digest": rules["valid_digest"], "crop": None}
    protocol |= {
        "drop_last": False,
        "framing": "bos",
        "insert_eos": False,
        "length": config["model"]["length"],
    }
    protocol |= {"packing": "wrap", "split": "valid", "times": "(0, 1)", "tokenizer": "bytes"}
    fields: dict[str, Any] = {
        "metric": "ppl",
        "value": math.exp(last),
        "stderr": 0.0 if exact else 0.01,
        "count": 111_540,
        "kind": "exact" if exact else "upper bound",
        "algo": algo,
        "protocol": protocol | {"weights": "averaged"},
        "network": {"name": "nano", "parameters": 182_081, "vocab_size": 257, "outputs": 257},
        "data": {"name": "shakespeare", "digest": rules["valid_digest"]},
        "training": {
            "corpus": "shakespeare",
            "averaged_weights": True,
            "checkpoint_digest": mark,
            "checkpoint": "outputs/last.ckpt",
            "steps": steps,
            "tokens": steps * per_step,
            "seed": seed,
            "finetuned_from": None,
            "digests": {
                "corpus": {"train": rules["train_digest"], "valid": rules["valid_digest"]},
                "tokenizer": "7" * 64,
            },
        },
        "sampler": None,
        "seed": seed,
        "commit": CLEAN,
        "hardware": HARDWARE,
        "wall_time_s": 5.0,
        "peak_memory_bytes": 1 << 29,
        "config": config,
        "created": f"2026-01-31T12:{len(list(folder.glob('*.json'))):02d}:00+00:00",
        "metrics": {
            "nats_per_token": last,
            "train_seconds": steps * 0.1,
            "train_flops": FLOPS.get(algo, 1.3e12),
            "curve": curve(folder, steps, every, nats, per_step),
        },
    }
    return write_record(folder, merged(fields, changes))


def falling(start: float, end: float, steps: int) -> Any:
    """A straight curve."""
    return lambda step: start + (end - start) * step / steps


def seeds(folder: Path, track: str, algo: str, last: float, **changes: Any) -> list[Path]:
    """An entry of three seeds, 0.01 nats apart, whose curves fall to their ends."""
    steps = 1600 if track == "shakespeare-epochs" else STEPS
    return [
        write(
            folder,
            track,
            algo,
            seed,
            last + 0.01 * (seed - 2),
            falling(4.0, last + 0.01 * (seed - 2), steps),
            **changes,
        )
        for seed in (1, 2, 3)
    ]
