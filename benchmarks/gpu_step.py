"""Tokens per second of a training step of every algorithm on this machine's GPU, or CPU: model
FLOPs utilisation, peak memory and what takes the time; beside it the same step with all logits at
once and torch's own derivatives, as published programs take it.

    .venv/bin/python benchmarks/gpu_step.py --batch-size 32
    .venv/bin/python benchmarks/gpu_step.py --batch-size 4 --only ar gidd model.n_blocks=2

One Markdown table. A step is noise, forward, backward, clipping, AdamW and averaged weights, of
random texts that are on the device already. Utilisation is the suite's own count of operations
(docs/cost.md) against the rate of one large product that is measured first. Shares are of the step:
noise and head with hidden states that are given, attention and MLP of a block alone times the
blocks, the optimizer alone, and the rest; on a GPU idle is where no kernel ran."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from algos.base import Batch, batch_of
from algos.build import ALGORITHMS
from backbones.cost import training_flops
from backbones.rotary import rotary_table
from benchmarks.all_logits import published
from benchmarks.measure import Training, composed, timed
from modes import build, devices, estimate
from modes.settings import Settings
from training.memory import keep_freed_memory
from training.settings import Trainer

RECIPE = ("model=small", "data.tokenizer_name_or_path=gpt2")
SIDES = {"cuda": 8192, "cpu": 1024}  # of the product whose rate is measured
PARTS = ("head", "attention", "mlp", "optimizer")
Work = Callable[[], object]


def made(settings: Settings, size: int, device: str, low: bool) -> Training:
    if settings.model.compile is None:
        network = replace(settings.model, compile=devices.compiles(torch.device(device)))
        settings = replace(settings, model=network)
    algorithm = build.algorithm(settings, size).train().to(device)
    return Training.of(algorithm, is_averaged=True, low=low)


def step(training: Training, batch: Batch) -> None:
    training.gradients(batch)
    training.update()
    training.optimizer.zero_grad()


def seconds(work: Work, device: str, repeats: int) -> float:
    """The median, after one that makes what stays."""
    work()
    return statistics.median(timed(work, device) for _ in range(repeats))


def product_rate(device: str, low: bool, repeats: int) -> float:
    """Operations per second of one product of large square matrices."""
    side = SIDES[device]
    dtype = torch.bfloat16 if low else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: one @ other, device, repeats)


def part_seconds(training: Training, batch: Batch, repeats: int) -> dict[str, float]:
    """The seconds of each part alone, over all blocks."""
    network, device = training.algorithm.backbone, batch["tokens"].device
    rows, length = batch["tokens"].shape
    width = network.head.in_features
    x = torch.randn(rows, length, width, device=device, requires_grad=True)
    cos, sin = rotary_table(network.length, network.head_width, device)
    block = network.blocks[0]

    def both(part: Callable[[], Tensor]) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=training.low):
            made = part()
        made.backward(torch.ones_like(made))

    def head() -> None:
        given = network.forward
        # As many texts as the network is asked for, and as many positions.
        network.forward = lambda z, *_, **__: x[:1, : z.shape[1]].expand(len(z), -1, -1)
        try:
            training.gradients(batch)
        finally:
            network.forward = given

    training.gradients(batch)  # the optimizer has some to work on
    works: dict[str, Work] = {
        "attention": lambda: both(lambda: block.attention(x, (cos[:length], sin[:length]))),
        "mlp": lambda: both(lambda: block.mlp(x)),
        "optimizer": training.update,
        "head": head,
    }
    found = {name: seconds(work, device.type, repeats) for name, work in works.items()}
    times = len(network.blocks) * (1 + training.algorithm.clean_share)
    return found | {name: times * found[name] for name in ("attention", "mlp")}


def idle(work: Work, device: str) -> float | None:
    """The share of a step in which no kernel runs; None on a CPU."""
    if device != "cuda":
        return None
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        work()
        torch.cuda.synchronize()
    busy = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
    return max(0.0, 1 - busy / (time.perf_counter() - began))


def row(name: str, options: argparse.Namespace, device: str, rate: float) -> list[str]:
    """The cells of an algorithm."""
    settings = composed(*RECIPE, *options.overrides, f"algo={name}")
    size = estimate.vocabulary(settings.data)
    cost = estimate.step_of(settings)
    training = made(settings, size, device, low_on(device))
    tokens = torch.randint(size, (options.batch_size, settings.model.length), device=device)
    batch, count = batch_of(tokens, given=0), tokens.numel()

    def work() -> None:
        step(training, batch)

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    whole = seconds(work, device, options.repeats)
    peak = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None
    with published():
        plain = seconds(work, device, options.repeats)
    parts = part_seconds(training, batch, options.repeats)
    shares = [parts[part] / whole for part in PARTS]
    used = count * training_flops(cost.sizes, cost.work) / whole / rate
    numbers = [*shares, 1 - sum(shares), idle(work, device)]
    return [
        name,
        f"{count / whole:,.0f}",
        f"{count / plain:,.0f}",
        f"{used:.1%}",
        "-" if peak is None else f"{peak:.1f}",
        *("-" if number is None else f"{number:.0%}" for number in numbers),
    ]


def low_on(device: str) -> bool:
    """bf16 where training has it by default."""
    kind = "cpu" if device == "cpu" else "auto"
    return devices.precision(Trainer(accelerator=kind)) == "bf16-mixed"


def show(options: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() and not options.cpu else "cpu"
    if device == "cpu":
        keep_freed_memory()
    low = low_on(device)
    rate = product_rate(device, low, options.repeats)
    named = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(f"{named}, torch {torch.__version__}, {'bf16' if low else 'float32'}; ", end="")
    print(f"a product of {SIDES[device]}^3: {rate / 1e12:.3g} TFLOP/s; {options.overrides}")
    headers = ["algorithm", "tokens/s", "with all logits", "MFU", "peak, GB", *PARTS, "rest"]
    print(f"\n| {' | '.join([*headers, 'idle'])} |\n|---{'|---:' * len(headers)}|")
    for name in options.only:
        print(f"| {' | '.join(row(name, options, device, rate))} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=10, help="of everything that is timed")
    parser.add_argument("--only", nargs="+", choices=ALGORITHMS, default=list(ALGORITHMS))
    parser.add_argument("--cpu", action="store_true", help="also where there is a GPU")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    show(parser.parse_intermixed_args())
