"""Tokens per second and memory of a training step of a recipe, on this machine's GPU or CPU, beside
the estimate of its memory.

    .venv/bin/python benchmarks/recipe_step.py --batch-size 32 experiment=owt_mdlm

A step has two passes of so many random texts: gradients of the first are there in the second, as
with gradient accumulation or several GPUs. One JSON object: on a CPU the seconds are those that the
process computed, per thread, whatever else the machine did; `hours` are those of the whole recipe
on one such device.
"""

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from hydra import initialize_config_dir

import main
from backbones.cost import Step, peak_bytes
from modes import build, estimate
from training.memory import keep_freed_memory

M_MMAP_THRESHOLD, PASSES = -3, 2  # the first of glibc's malloc.h


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the peak) in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def step_function(settings: build.Settings, step: Step, batch: int) -> Callable[[], None]:
    """A step of training with averaged weights beside, as mode=train takes it."""
    algorithm = build.algorithm(settings, step.sizes.vocab_size).train().to(step.device)
    optimizer: Any = algorithm.configure_optimizers()["optimizer"]
    weights = list(algorithm.parameters())
    average = [weight.detach().clone() for weight in weights] if step.averaged else []
    shape, device = (batch, step.sizes.length), step.device
    inner = torch.ones(shape, dtype=torch.bool, device=device)

    def run() -> None:
        for number in range(PASSES):
            tokens = torch.randint(step.sizes.vocab_size, shape, device=device)
            index = torch.arange(batch) + number * batch
            inputs = {"tokens": tokens, "scored": inner, "noised": inner, "index": index}
            with torch.autocast(device, torch.bfloat16, enabled=step.low == 2):
                loss = algorithm.objective(inputs).sum() / tokens.numel()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if average:
            torch._foreach_lerp_(average, [weight.detach() for weight in weights], 1e-4)

    return run


def memory(prepare: Callable[[], Callable[[], None]], cuda: bool) -> tuple[int, Callable[[], None]]:
    """The most bytes of two steps, in the second of which the optimizer has its state; the step."""
    if not cuda:  # every array is the system's own and returns to it
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
    before = 0 if cuda else resident("VmRSS")
    step = prepare()
    step()
    step()
    if cuda:
        return torch.cuda.max_memory_allocated(), step
    return resident("VmHWM") - before, step


def seconds(step: Callable[[], None], repeats: int, cuda: bool) -> float:
    """Of the fastest of some steps: whatever else the machine does only adds to one."""
    if not cuda:
        keep_freed_memory()  # as mode=train does
        step()
        step()  # what the first one freed is taken up again
    return min(timed(step, cuda) for _ in range(repeats))


def timed(step: Callable[[], None], cuda: bool) -> float:
    if not cuda:
        began = time.process_time()
        step()
        return (time.process_time() - began) / torch.get_num_threads()
    torch.cuda.synchronize()  # nothing of an earlier step is left to do
    began = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def measured(batch: int, repeats: int, overrides: list[str]) -> dict[str, Any]:
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        recipe = main.compose(overrides)
    cuda = recipe["trainer"]["accelerator"] != "cpu" and torch.cuda.is_available()
    changed = [*overrides, f"loader.global_batch_size={PASSES * batch}", "loader.batch_size=null"]
    changed += [] if cuda else ["trainer.accelerator=cpu"]
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        settings = main.compose(changed)
    step = estimate.step_of(settings)
    peak, run = memory(lambda: step_function(settings, step, batch), cuda)
    result = {"texts": batch, "peak_bytes": peak, "estimate_bytes": round(peak_bytes(step, batch))}
    if not repeats:
        return result
    per_second = PASSES * batch * step.sizes.length / seconds(run, repeats, cuda)
    steps, together = recipe["trainer"]["max_steps"], recipe["loader"]["global_batch_size"]
    hours = steps * together * step.sizes.length / per_second / 3600
    device = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    rates = {"tokens_per_second": round(per_second, 1), "hours": round(hours)}
    return {"recipe": overrides, "device": device} | result | rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2, help="steps to time; 0: memory alone")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    print(json.dumps(measured(options.batch_size, options.repeats, options.overrides)))
