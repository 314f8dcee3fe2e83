"""Tokens per second and memory of a training step of a recipe, on this machine's GPU or CPU, beside
the estimate of its memory.

    .venv/bin/python benchmarks/recipe_step.py --batch-size 32 experiment=owt_mdlm
    .venv/bin/torchrun --nproc-per-node 8 benchmarks/recipe_step.py --batch-size 32 \
        experiment=owt_mdlm strategy=fsdp

A step has two passes of so many random texts: gradients of the first are there in the second, as
with gradient accumulation or several GPUs. One JSON object, of the first process: on a CPU the
seconds are those that the process computed, per thread, whatever else the machine did; `hours` are
those of the whole recipe on so many such devices."""

import argparse
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from algos.base import batch_of
from backbones.cost import Step
from benchmarks.measure import Training, composed, resident, timed
from modes import build, estimate
from modes.settings import Settings
from training.memory import keep_freed_memory
from training.sharding import shard

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def step_function(settings: Settings, step: Step, batch: int, passes: int) -> Callable[[], None]:
    """A step of training with averaged weights beside, as mode=train takes it."""
    algorithm = build.algorithm(settings, step.sizes.vocab_size).train()
    network, low = algorithm.backbone, torch.bfloat16 if step.low == 2 else None
    if step.parts:
        mesh = init_device_mesh(step.device, (step.parts,))
        algorithm.place = lambda own: shard(own, mesh, torch.device(step.device), low)
        algorithm.place(network)
    algorithm.to(step.device)
    training = Training.of(algorithm, step.averaged, low=low is not None and not step.parts)
    shape, device = (batch, step.sizes.length), step.device

    def run() -> None:
        for number in range(passes):
            if step.parts:
                network.set_requires_gradient_sync(number == passes - 1)
            tokens = torch.randint(step.sizes.vocab_size, shape, device=device)
            training.gradients(batch_of(tokens, 0, torch.arange(batch) + number * batch))
        training.update()
        training.optimizer.zero_grad()

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
    if cuda:
        return min(timed(step, "cuda") for _ in range(repeats))
    keep_freed_memory()  # as mode=train does
    step()
    step()  # what the first one freed is taken up again
    return min(computed(step) for _ in range(repeats))


def computed(step: Callable[[], None]) -> float:
    """Seconds that this process computes, per thread."""
    began = time.process_time()
    step()
    return (time.process_time() - began) / torch.get_num_threads()


def join(cuda: bool) -> None:
    """Of the processes that torchrun started."""
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if cuda else "gloo")


def measured(batch: int, repeats: int, passes: int, overrides: list[str]) -> dict[str, Any]:
    recipe = composed(*overrides)
    cuda = recipe.trainer.accelerator != "cpu" and torch.cuda.is_available()
    devices = int(os.environ.get("WORLD_SIZE", 1))
    changed = [*overrides, f"loader.global_batch_size={passes * batch * devices}"]
    changed += [f"loader.batch_size={batch}", f"trainer.devices={devices}"]
    changed += [] if cuda else ["trainer.accelerator=cpu"]
    settings = composed(*changed)
    step = estimate.step_of(settings)
    if devices > 1 and not step.parts:
        raise SystemExit(f"{devices} processes: only strategy=fsdp measures several")
    if step.parts:
        join(cuda)
        least = estimate.LEAST | {"length": step.sizes.length}
        small = replace(settings, model=replace(settings.model, **least))
        step_function(small, step, batch, passes)()  # code and buffers of the group are none of it
    peak, run = memory(lambda: step_function(settings, step, batch, passes), cuda)
    expected = round(estimate.peak_bytes(step, batch))
    result = {"texts": batch, "peak_bytes": peak, "estimate_bytes": expected}
    if not repeats:
        return result
    texts = passes * batch * devices
    per_second = texts * step.sizes.length / seconds(run, repeats, cuda)
    steps, together = recipe.trainer.max_steps, recipe.loader.global_batch_size
    hours = steps * together * step.sizes.length / per_second / 3600
    device = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    rates = {"tokens_per_second": round(per_second, 1), "hours": round(hours)}
    return {"recipe": overrides, "device": device, "devices": devices} | result | rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2, help="steps to time; 0: memory alone")
    parser.add_argument("--passes", type=int, default=2, help="of an optimizer step")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    options = parser.parse_intermixed_args()
    result = measured(options.batch_size, options.repeats, options.passes, options.overrides)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(result))
    if dist.is_initialized():
        dist.destroy_process_group()
