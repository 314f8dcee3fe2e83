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
import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Case = tuple[str, int, bool]  # name, batch size, whether activations are recomputed
ROOT = Path(__file__).resolve().parents[1]
VOCABULARY, LENGTH = 50257, 128
# name of the algorithm, its options
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("ar", {}),
    "ar": ("ar", {}),
    "mdlm": ("mdlm", {}),
    "sedd": ("sedd", {}),
    "sedd_uniform": ("sedd_uniform", {}),
    "d3pm": ("d3pm", {}),
    "gidd, p_u 0": ("gidd", {"p_uniform": 0.0}),
    "gidd": ("gidd", {}),
    "udlm": ("udlm", {}),
    "duo": ("duo", {}),
    "duo, full": ("duo", {"curriculum": "full"}),
    "duo_distill": ("duo_distill", {}),
}
KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}


def step_function(case: str, batch_size: int, checkpointing: bool) -> Callable[[], None]:
    import torch
    import torch.nn.functional as F

    from algos.base import batch_of
    from algos.build import ALGORITHMS
    from backbones.dit import DiT
    from diffusion.schedule import LogLinear
    from training.optim import adamw

    torch.manual_seed(0)
    name, options = CASES[case]
    cls = ALGORITHMS[name]
    outputs = VOCABULARY + cls.facts.outputs_mask
    net = DiT(
        VOCABULARY,
        256,
        LENGTH,
        n_blocks=8,
        n_heads=8,
        causal=cls.facts.causal,
        outputs=outputs,
        activation_checkpointing=checkpointing,
    )
    extra: dict[str, Any] = {} if name == "ar" else {"global_batch_size": batch_size}
    if name not in ("ar", "gidd"):
        extra["alpha"] = LogLinear()
    if name in ("duo", "duo_distill"):
        extra["max_steps"] = 10**6  # the curriculum, or the first round
    algorithm = cls(backbone=net, vocab_size=VOCABULARY, **extra, **options)
    optimizer = adamw(algorithm.parameters(), 3e-4, 0.9, 0.999, 1e-8, 0.0)
    tokens = torch.randint(VOCABULARY, (batch_size, LENGTH))
    batch = batch_of(tokens, given=1)

    def loss() -> torch.Tensor:
        if case != "plain":
            return algorithm.objective(batch).sum() / batch["scored"].sum()
        logits = net.head(net(tokens[:, :-1]))
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def resident_megabytes(field: str) -> float:
    """VmRSS (now) or VmHWM (the peak since it was last reset)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def child(case: str, batch_size: int, repeats: int, checkpointing: bool) -> None:
    from training.memory import keep_freed_memory

    if case != "plain":
        keep_freed_memory()  # as mode=train does on a CPU
    step = step_function(case, batch_size, checkpointing)
    step()  # makes the optimizer's state: at rest from now on there are weights and moments
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    rest = resident_megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    peak = resident_megabytes("VmHWM") - rest
    print(json.dumps({"seconds": min(times), "megabytes": peak}))


def measure(case: str, batch_size: int, checkpointing: bool, repeats: int) -> dict[str, float]:
    keep = KEEP if case.endswith("+keep") else {}
    line = [sys.executable, __file__, "--case", case.removesuffix("+keep")]
    line += ["--batch-size", str(batch_size), "--repeats", str(repeats)]
    line += ["--checkpointing"] * checkpointing
    environment = os.environ | keep | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
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
