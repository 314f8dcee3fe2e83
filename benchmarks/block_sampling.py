"""Seconds per token of block diffusion with its keys and values kept, beside windows that keep none
and AR, in one run.

    .venv/bin/python benchmarks/block_sampling.py

Float32, by default one text, 4 layers of 128, 8,192 tokens, one thread, whose own time is measured,
so that what else a machine does plays no part. Every diffusion row has about the same network
evaluations per token, which are counted, as are the positions that they read: blocks of n take n /
2 steps each and one more reading; `semi_ar` draws windows of 512 tokens, 256 new ones in 128 steps.
Blocks see all of the text before them. The second table is a look at a block behind more and
more text, with the cache and without."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from algos.base import PLAIN
from algos.block_reader import BlockReader
from benchmarks.sampling_step import algorithm
from samplers.ancestral import ancestral
from samplers.autoregressive import autoregressive
from samplers.blocks import block_by_block
from samplers.build import Counter
from samplers.grids import uniform_grid
from samplers.semi_ar import semi_ar
from training.memory import keep_freed_memory

VOCABULARY, LONGEST, WINDOW, STRIDE = 8192, 2048, 512, 256
BLOCKS = (4, 16, 64)
PER_TOKEN = 0.5  # steps
Net = list[str]  # settings of width, layers and heads
Drawn = Callable[[int], Counter]  # of a text of so many tokens


def by_blocks(net: Net, texts: int, block: int) -> Drawn:
    model = algorithm("bd3lm", LONGEST, VOCABULARY, f"algo.block_size={block}", *net)

    def draw(length: int) -> Counter:
        counter, grid = Counter(), uniform_grid(round(block * PER_TOKEN))
        loop = counter.of(partial(ancestral, grid=grid), 1)
        told = counter.of_reader
        sampler = partial(block_by_block, loop=loop, block_size=block, told=told)
        model.sample(*blank(texts, length), sampler)
        return counter

    return draw


def by_windows(net: Net, texts: int) -> Drawn:
    model = algorithm("mdlm", WINDOW, VOCABULARY, *net)

    def draw(length: int) -> Counter:
        counter = Counter()

        def window(tokens: Tensor, fixed: Tensor) -> Tensor:
            new = int((~fixed[0]).sum())
            grid = uniform_grid(round(new * PER_TOKEN))
            return model.sample(tokens, fixed, counter.of(partial(ancestral, grid=grid), 1))

        semi_ar(window, *blank(texts, length), WINDOW, STRIDE)
        return counter

    return draw


def left_to_right(net: Net, texts: int) -> Drawn:
    model = algorithm("ar", LONGEST, VOCABULARY, *net)

    def draw(length: int) -> Counter:
        counter = Counter()
        model.sample(*blank(texts, length), counter.of(autoregressive, 1))
        return counter

    return draw


def blank(texts: int, length: int) -> tuple[Tensor, Tensor]:
    """Texts of which the first token is given."""
    fixed = torch.zeros(texts, length, dtype=torch.bool)
    fixed[:, 0] = True
    return torch.zeros(texts, length, dtype=torch.long), fixed


@torch.inference_mode()
def report_texts(net: Net, texts: int, lengths: list[int]) -> None:
    rows: dict[str, Drawn] = {f"bd3lm, blocks of {n}": by_blocks(net, texts, n) for n in BLOCKS}
    rows |= {"mdlm, semi_ar": by_windows(net, texts), "ar": left_to_right(net, texts)}
    print(
        f"{'':20} {'tokens':>7} {'ms/token':>9} {'calls/token':>12} {'positions/token':>16}", end=""
    )
    print(f" {'x semi_ar':>10}")
    for length in lengths:
        found = {}
        for name, draw in rows.items():
            draw(64)  # what is made once
            began = time.process_time()
            counter = draw(length)
            found[name] = (time.process_time() - began) / (texts * length), counter
        slow = found["mdlm, semi_ar"][0]
        for name, (seconds, counter) in found.items():
            counts = [counter.texts / (texts * length), counter.positions / (texts * length)]
            numbers = [1000 * seconds, *counts]
            shown = "".join(f"{number:17.2f}" for number in (*numbers, slow / seconds))
            print(f"{name:20} {length:7}{shown}", flush=True)


@torch.inference_mode()
def report_prefixes(net: Net, block: int, prefixes: list[int], repeats: int) -> None:
    """A look at a block behind a prefix: the median of `repeats`."""
    model = algorithm("bd3lm", LONGEST, VOCABULARY, f"algo.block_size={block}", *net)
    z, t = torch.full((1, block), VOCABULARY), torch.full((1,), 0.5, dtype=torch.float64)
    print(f"\n{f'a look at {block} tokens':20} {'before it':>10} {'cached, ms':>11} {'without':>9}")
    for prefix in prefixes:
        medians = []
        for cached in (True, False):
            reader = BlockReader(model, PLAIN, cached)
            if prefix:
                reader.finish(torch.zeros(1, prefix, dtype=torch.long))
            seconds = []
            for _ in range(repeats):
                began = time.process_time()
                reader(z, t)
                seconds.append(time.process_time() - began)
            medians.append(1000 * statistics.median(seconds))
        print(f"{'':20} {prefix:10} {medians[0]:11.2f} {medians[1]:9.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, LONGEST])
    parser.add_argument("--texts", type=int, default=1)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread")
    net = [f"model.hidden_size={arguments.width}", f"model.n_blocks={arguments.layers}"]
    net.append("model.n_heads=4")
    report_texts(net, arguments.texts, arguments.lengths)
    report_prefixes(net, 16, [0, 512, 1024, LONGEST - 16], arguments.repeats)


if __name__ == "__main__":
    main()
