"""Time and peak memory of a training step of every algorithm, beside the AR step, in one run.

    .venv/bin/python benchmarks/training_step.py

Forward, loss, backward and AdamW in float32 at the GPT-2 vocabulary, length 128, 8 layers of 256.
Every case is a process of its own; cases alternate over the rounds and the best round counts. The
peak is what a step needs above weights and optimizer state: gradients, activations, logits. "plain"
is the AR step through (batch, length, vocabulary) logits and `F.cross_entropy`, as the system
allocates and ("+keep") with glibc told to keep freed memory, as mode=train does on a CPU and all
other cases do.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F

from algos.base import batch_of
from benchmarks.measure import composed, peak_megabytes, timed
from modes import build
from training.memory import keep_freed_memory

Case = tuple[str, int, bool]  # name, batch size, whether activations are recomputed
VOCABULARY = 50257
SIZES = ["model.hidden_size=256", "model.n_blocks=8", "model.n_heads=8", "model.length=128"]
SIZES += ["model.dropout=0", "seed=0"]
CASES = {
    "plain": ["algo=ar"],
    "ar": ["algo=ar"],
    "mdlm": ["algo=mdlm"],
    "sedd": ["algo=sedd"],
    "sedd_uniform": ["algo=sedd_uniform"],
    "d3pm": ["algo=d3pm"],
    "gidd, p_u 0": ["algo=gidd", "algo.p_uniform=0.0"],
    "gidd": ["algo=gidd"],
    "udlm": ["algo=udlm"],
    "duo": ["algo=duo"],
    "duo, full": ["algo=duo", "algo.curriculum=full"],
    "duo_distill": ["algo=duo_distill"],
}
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def step_function(case: str, batch_size: int, checkpointing: bool) -> Callable[[], None]:
    sizes = [*SIZES, f"loader.global_batch_size={batch_size}"]
    sizes.append(f"model.activation_checkpointing={checkpointing}")
    settings = composed(*CASES[case], *sizes)
    algorithm = build.algorithm(settings, VOCABULARY).train()
    optimizer: Any = algorithm.configure_optimizers()["optimizer"]
    network, tokens = algorithm.backbone, torch.randint(VOCABULARY, (batch_size, 128))
    batch = batch_of(tokens, given=1)

    def loss() -> torch.Tensor:
        if case != "plain":
            return algorithm.objective(batch).sum() / batch["scored"].sum()
        logits = network.head(network(tokens[:, :-1]))
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def child(case: str, batch_size: int, repeats: int, checkpointing: bool) -> None:
    if case != "plain":
        keep_freed_memory()  # as mode=train does on a CPU
    step, times = step_function(case, batch_size, checkpointing), list[float]()
    step()  # makes the optimizer's state: at rest from now on there are weights and moments
    peak = peak_megabytes(lambda: times.extend(timed(step) for _ in range(repeats)))
    print(json.dumps({"seconds": min(times), "megabytes": peak}))


def measure(case: str, batch_size: int, checkpointing: bool, repeats: int) -> dict[str, float]:
    keep = KEEP if case.endswith("+keep") else {}
    line = [sys.executable, __file__, "--case", case.removesuffix("+keep")]
    line += ["--batch-size", str(batch_size), "--repeats", str(repeats)]
    line += ["--checkpointing"] * checkpointing
    done = subprocess.run(line, env=os.environ | keep, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--only", nargs="+", choices=CASES, help="these cases, and those compared to"
    )
    parser.add_argument("--case", help="one case, in this process")
    parser.add_argument("--checkpointing", action="store_true", help="of a case's activations")
    options = parser.parse_args()
    if options.case:
        child(options.case, options.batch_size, options.repeats, options.checkpointing)
        return
    report(compared(options), options.batch_size)


def compared(options: argparse.Namespace) -> dict[Case, dict[str, float]]:
    """Seconds and megabytes of every case, the best of all rounds."""
    small, wanted = options.batch_size, options.only or list(CASES)
    cases = [("plain", small, False), ("plain+keep", small, False), ("ar", small, False)]
    cases += [(case, small, False) for case in wanted if case not in ("plain", "ar")]
    if not options.only:
        cases += [(case, 4 * small, True) for case in ("ar", "mdlm", "gidd")]
    rounds = [
        {case: measure(*case, options.repeats) for case in cases} for _ in range(options.rounds)
    ]
    return {
        case: {key: min(cases[case][key] for cases in rounds) for key in ("seconds", "megabytes")}
        for case in cases
    }


def report(best: dict[Case, dict[str, float]], small: int) -> None:
    """The table, against the AR step of the suite."""
    ours = best["ar", small, False]
    print(f"{'step':14} {'batch':>5} {'seconds':>8} {'/ ar':>6} {'peak MB':>8} {'/ ar':>6}")
    for (case, size, checkpointing), measured in best.items():
        ratios = [measured[key] / ours[key] for key in ("seconds", "megabytes")]
        print(f"{case:14} {size:5} {measured['seconds']:8.3f} {ratios[0]:6.2f} ", end="")
        print(f"{measured['megabytes']:8.0f} {ratios[1]:6.2f}", end="")
        print("  activations recomputed" if checkpointing else "")


if __name__ == "__main__":
    main()
