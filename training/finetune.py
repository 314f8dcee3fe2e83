"""Begins a run with the weights of another: which fit, which do not, and where they come from."""

import math
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from storage import file_digest
from training.checkpoint import (
    DIGESTS,
    EMBEDDING,
    read_checkpoint,
    tokens_seen,
    weights_of,
)
from training.shards import Read, Shape, take_shape
from training.signals import is_first_process

KEY = "training.finetune_path"
SHOWN_SHAPES = 3


class Stored(NamedTuple):
    """A weight that is read where it is needed, as many of its rows as are."""

    shape: Shape
    read: Read


def in_memory(weight: Tensor) -> Stored:
    return Stored(tuple(weight.shape), lambda rows: weight[rows] if weight.dim() else weight)


class Source(NamedTuple):
    """The weights to begin with, the configuration that they were trained under, their provenance
    for checkpoints of the new run, the number of its states without the mask, 0 where nothing says,
    and the digest of their tokenizer, None where it has none.

    `check` a part of the files that they are read from: ValueError for a damaged one."""

    weights: dict[str, Stored]
    config: dict[str, Any]
    provenance: dict[str, Any]
    vocab_size: int = 0
    tokenizer_digest: str | None = None
    check: Callable[[slice], object] = lambda part: None


def read_source(file: Path, averaged: bool, checked: slice = slice(None)) -> Source:
    """A checkpoint of this suite, a part of whose files is `checked` now; `averaged` takes its
    averaged weights, where it has them."""
    reads: dict[int, Read] = {}
    before = _stamp(file)

    def shape_of(shape: Shape, read: Read) -> Tensor:
        tensor = take_shape(shape, read)
        reads[id(tensor)] = read
        return tensor

    checkpoint = read_checkpoint(file, KEY, take=shape_of, part=checked)
    provenance = {
        "algo": checkpoint["config"]["algo"]["name"],
        "steps": checkpoint["global_step"],
        "tokens": tokens_seen(checkpoint),
        "checkpoint": str(file),
        # Of all that a file holds, for the one process that writes checkpoints.
        "checkpoint_digest": file_digest(file) if is_first_process() else None,
        "weights": "averaged" if averaged and "ema" in checkpoint else "raw",
        "finetuned_from": checkpoint.get("finetuned_from"),
    }
    tokenizer = checkpoint.get(DIGESTS, {}).get("tokenizer")
    weights = {
        name: Stored(tuple(tensor.shape), reads[id(tensor)])
        for name, tensor in weights_of(checkpoint, averaged).items()
    }
    states = weights[EMBEDDING].shape[0] - 1 if EMBEDDING in weights else 0

    def check(part: slice) -> None:
        read_checkpoint(file, KEY, take=take_shape, part=part)
        if _stamp(file) != before:
            raise ValueError(f"{KEY}={file}: replaced while it was read; start again")

    return Source(weights, checkpoint["config"], provenance, states, tokenizer, check)


def _stamp(file: Path) -> tuple[int, int] | None:
    """Another one for a file that took the place of it."""
    if not file.exists():
        return None
    return file.stat().st_ino, file.stat().st_mtime_ns


class Fit(NamedTuple):
    """Shapes by name, of a network's own weights (`here`) and of a checkpoint's (`there`)."""

    here: dict[str, Shape]
    there: dict[str, Shape]

    @property
    def taken(self) -> list[str]:
        return [name for name, shape in self.here.items() if self.there.get(name) == shape]

    @property
    def differing(self) -> list[str]:
        """Each name of two shapes, with both."""
        names: dict[tuple[Shape, Shape], list[str]] = {}
        for name in self.here.keys() & self.there.keys() - set(self.taken):
            names.setdefault((self.there[name], self.here[name]), []).append(name)
        return sorted(
            f"{name} is {there} there, {here} here"
            for (there, here), alike in names.items()
            for name in numbered(alike)
        )

    @property
    def missing(self) -> list[str]:
        """Weights of the network alone, whole modules by their own name."""
        return briefly(self.here.keys() - self.there.keys(), self.here)

    @property
    def unused(self) -> list[str]:
        """Weights of the checkpoint alone, whole modules by their own name."""
        return briefly(self.there.keys() - self.here.keys(), self.there)

    def report(self) -> list[str]:
        """A line on the weights that were taken, and one for each kind of the others."""
        count, total = len(self.taken), len(self.here)
        part = _amount(sum(math.prod(self.here[name]) for name in self.taken))
        whole = _amount(sum(math.prod(shape) for shape in self.here.values()))
        lines = [f"took {count} of {total} weights ({part} of {whole} parameters)"]
        if self.differing:
            lines.append(f"not taken: {'; '.join(self.differing)}")
        if self.missing:
            lines.append(f"not there: {', '.join(self.missing)}")
        if self.unused:
            lines.append(f"not used here: {', '.join(self.unused)}")
        return lines


def take(
    module: nn.Module,
    source: Source,
    rows: dict[str, Tensor] | None = None,
    own: Callable[[int], slice] = lambda length: slice(None),
) -> Fit:
    """Copies into `module` the weights of `source` that have the same name and shape there; where
    those of the module are shapes alone, `own` of so many rows into `rows` by name. One weight
    after another is read.

    ValueError, with the module untouched, where not one weight of any of its blocks fits."""
    weights = module.state_dict() if rows is None else rows
    there = {name: stored.shape for name, stored in source.weights.items()}
    fit = Fit({name: tuple(weight.shape) for name, weight in module.state_dict().items()}, there)
    if not any("blocks" in name.split(".") for name in fit.taken):
        reasons, more = fit.differing[:SHOWN_SHAPES], len(fit.differing) - SHOWN_SHAPES
        reasons += [f"and {more} more"] if more > 0 else []
        missing = f"not there: {', '.join(fit.missing)}"
        raise ValueError(
            f"{KEY}={source.provenance['checkpoint']}: no weight of any block fits: "
            f"{'; '.join(reasons) or missing}"
        )
    for name in fit.taken:
        shape, read = source.weights[name]
        weights[name].copy_(read(own(shape[0]) if shape else slice(None)))
    return fit


def briefly(names: Collection[str], among: Iterable[str]) -> list[str]:
    """Sorted `names`, a module for its weights where all that it has in `among` are in them."""
    others = set(among) - set(names)

    def short(name: str) -> str:
        parts = name.split(".")
        starts = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        alone = (
            start for start in starts if not any(other.startswith(f"{start}.") for other in others)
        )
        return next(alone, name)

    return numbered({short(name) for name in names})


def numbered(names: Iterable[str]) -> list[str]:
    """Sorted names; those that differ in their first number alone are one: blocks.0-3.norm."""
    groups: dict[tuple[str, str], list[int]] = {}
    alone = []
    for name in names:
        match = re.fullmatch(r"(.*?\.)(\d+)((?:\..*)?)", name)
        if match:
            groups.setdefault((match[1], match[3]), []).append(int(match[2]))
        else:
            alone.append(name)
    return sorted(
        [*alone, *(f"{head}{_span(group)}{tail}" for (head, tail), group in groups.items())]
    )


def _span(numbers: list[int]) -> str:
    """0-3 for all of them, else 0,2,3."""
    low, high = min(numbers), max(numbers)
    if high - low == len(numbers) - 1 > 0:
        return f"{low}-{high}"
    return ",".join(map(str, sorted(numbers)))


def _amount(count: int) -> str:
    return f"{count / 1e6:.2f}M" if count >= 1e6 else f"{count:,}"
