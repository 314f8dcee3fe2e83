"""The AR network at the recipe of experiment=shakespeare_char in a plain loop, without the suite's
data, training and evaluation: what the vocabulary and the frame of the blocks are worth.

python benchmarks/bare_loop.py input.txt --symbols bytes --frame bos --seed 1"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from backbones.dit import DiT
from training.optim import adamw, cosine_warmup

LENGTH, BATCH, DECAY = 64, 12, 0.99


def blocks(ids: Tensor, bos: int | None) -> Tensor:
    """(S, 64) consecutive cuts of ids (T,): 64 of them, or BOS and 63."""
    room = LENGTH - (bos is not None)
    rows = ids[: len(ids) // room * room].view(-1, room)
    return rows if bos is None else F.pad(rows, (1, 0), value=bos)


def nats(network: DiT, rows: Tensor) -> Tensor:
    """(S, 63) -log p of all but the first token of each row."""
    logits = network.head(network(rows[:, :-1])).transpose(1, 2)
    return F.cross_entropy(logits, rows[:, 1:], reduction="none")


def train(network: DiT, rows: Tensor, steps: int, seed: int) -> list[Tensor]:
    """The averaged weights after so many steps on the rows in random order, epoch after epoch."""
    parameters = list(network.parameters())
    optimizer = adamw(parameters, lr=1e-3, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1)
    factor = cosine_warmup(min(100, steps - 1), steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    rng, order = np.random.default_rng(1000 + seed), np.empty(0, dtype=np.int64)
    average = [parameter.detach().clone() for parameter in parameters]
    for _ in range(steps):
        if len(order) < BATCH:
            order = np.concatenate([order, rng.permutation(len(rows))])
        now, order = order[:BATCH], order[BATCH:]
        optimizer.zero_grad()
        nats(network, rows[now]).mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - DECAY)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--symbols", choices=["characters", "bytes"], default="characters")
    parser.add_argument("--frame", choices=["given", "bos"], default="given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    raw = np.frombuffer(options.text.read_bytes(), dtype=np.uint8)
    symbols = np.unique(raw) if options.symbols == "characters" else np.arange(256)
    ids = torch.from_numpy(np.searchsorted(symbols, raw).astype(np.int64))
    bos = len(symbols) if options.frame == "bos" else None
    cut = int(0.9 * len(ids))
    size = len(symbols) + (options.symbols == "bytes" or bos is not None)
    torch.manual_seed(options.seed)
    network = DiT(size, hidden_size=128, length=LENGTH, n_blocks=4, n_heads=4, causal=True)
    average = train(network, blocks(ids[:cut], bos), options.steps, options.seed)
    rows = blocks(ids[cut:], bos).split(256)
    for weights in ("raw", "averaged"):
        with torch.no_grad():
            held_out = torch.cat([nats(network, part) for part in rows]).double()
            rest = held_out[:, 1:].mean()
            print(f"{weights} weights: {held_out.mean():.4f} nats, {rest:.4f} without the first")
            for parameter, mean in zip(network.parameters(), average, strict=True):
                parameter.copy_(mean)


if __name__ == "__main__":
    main()
