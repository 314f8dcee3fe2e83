"""Cut a token store into framed blocks of one length, whole batches at a time."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from data.order import Index, TrainOrder
from data.settings import Data
from data.store import TokenStore
from data.tokenizers import Tokenizer
from schema.check import check_values

Arrays = dict[str, NDArray[Any]]


class Frame(NamedTuple):
    """How many ids stand before and after the text of a block."""

    head: int
    tail: int


# "bos" gives every algorithm the same free start: never noised, never scored. "bos-eos" is the
# MDLM and DUO protocol, whose two frame ids count as text (AR cannot score position 0).
FRAMINGS = {"bos": Frame(1, 0), "bos-eos": Frame(1, 1), "none": Frame(0, 0)}


class Blocks(Protocol):
    """A finite set of blocks of one length."""

    def __len__(self) -> int:
        """How many there are."""

    def batch(self, blocks: Index, epochs: Index) -> Arrays:
        """`tokens` (B, L) int64, `scored` and `noised` (B, L) bool of (B,) blocks."""


class Framer:
    """Puts text into blocks: [BOS] text [EOS] PAD ..."""

    def __init__(self, length: int, framing: str, tokenizer: Tokenizer) -> None:
        check_values(Data, "data", framing=framing)
        self.head, self.tail = FRAMINGS[framing]
        self.length, self.framing = length, framing
        self.room = length - self.head - self.tail
        if length < 2 or self.room < 1:
            least = max(2, 1 + self.head + self.tail)
            raise ValueError(f"model.length={length}: at least {least} with data.framing={framing}")
        self.bos, self.eos, self.pad = tokenizer.bos, tokenizer.eos, tokenizer.pad
        self.vocab_size = tokenizer.vocab_size

    def assemble(self, text: NDArray[np.integer], sizes: Index, noise_pad: bool) -> Arrays:
        """Frames (B, room) text of which row b holds `sizes[b]` tokens, then anything."""
        if text.size and text.max() >= self.vocab_size:
            raise _damaged(f"token {text.max()} of {self.vocab_size}")
        count, (head, tail) = len(text), (self.head, self.tail)
        tokens = np.empty((count, self.length), dtype=np.int64)
        tokens[:, :head] = self.bos
        tokens[:, head : head + self.room] = text
        real = np.ones(tokens.shape, dtype=bool)
        if tail:
            tokens[np.arange(count), head + sizes] = self.eos
        if count and sizes.min() < self.room:
            real = np.arange(self.length) < (head + tail + sizes)[:, None]
            tokens[~real] = self.pad
        scored = real
        noised = np.ones_like(real) if noise_pad else real.copy()
        if self.framing == "bos":
            scored[:, 0] = noised[:, 0] = False
        return {"tokens": tokens, "scored": scored, "noised": noised}


class WrapBlocks:
    """Cuts of the whole token stream, `stride` tokens apart, None for end to end. A block scores
    what no earlier one holds; the tokens before that are context, neither noised nor scored. The
    last, partial one is filled with PAD, which is neither here; `drop_last` leaves it out, as the
    papers do."""

    def __init__(
        self, store: TokenStore, framer: Framer, drop_last: bool, stride: int | None = None
    ) -> None:
        self.store, self.framer = store, framer
        self.stride = framer.room if stride is None else stride
        beyond = store.meta["tokens"] - framer.room  # the first block
        self.full = 0 if beyond < 0 else 1 + beyond // self.stride
        some_left = self.full == 0 or beyond % self.stride > 0
        self.count = self.full + (some_left and not drop_last)

    def __len__(self) -> int:
        return self.count

    def batch(self, blocks: Index, epochs: Index) -> Arrays:
        """See `Blocks.batch`; the epochs play no part."""
        room, tokens, start = self.framer.room, self.store.tokens, blocks * self.stride
        sizes = np.minimum(len(tokens) - start, room)
        if (sizes == room).all():
            text = sliding_window_view(tokens, room)[start]
        else:  # ten times as slow
            text = tokens[np.minimum(start[:, None] + np.arange(room), len(tokens) - 1)]
        batch = self.framer.assemble(text, sizes, noise_pad=False)
        if self.stride == room:
            return batch
        seen = self.framer.head + np.where(blocks == 0, 0, room - self.stride)
        new = np.arange(self.framer.length) >= seen[:, None]
        return batch | {name: batch[name] & new for name in ("scored", "noised")}


def overlapping_stride(stride: int | None, framer: Framer, packing: str) -> int | None:
    """A stride below the text of a block, None for blocks without overlap; ValueError for one that
    cannot be used."""
    if stride is None:
        return None
    if not 1 <= stride <= framer.length:
        raise ValueError(f"eval.stride={stride}: from 1 to model.length={framer.length}")
    if stride >= framer.room:
        return None
    if packing == "pad":
        raise ValueError(
            f"eval.stride={stride}: data.packing=pad has one text in a block; windows slide "
            f"over the stream of data.packing=wrap"
        )
    if framer.tail:
        raise ValueError(
            f"eval.stride={stride}: data.framing={framer.framing} would end every window in an "
            f"EOS; choose data.framing=bos or none"
        )
    return stride


class PadBlocks:
    """One document per block: longer ones cropped, shorter ones filled with PAD. PAD is noised like
    text and never scored, as in the published code. A random crop depends on (seed, epoch,
    document) only."""

    def __init__(
        self, store: TokenStore, framer: Framer, insert_eos: bool, crop: str, seed: int
    ) -> None:
        self.store, self.framer, self.crop, self.seed = store, framer, crop, seed
        # The frame's own EOS takes the place of the document's.
        self.surplus = 1 if insert_eos and framer.tail else 0

    def __len__(self) -> int:
        return self.store.meta["documents"]

    def batch(self, blocks: Index, epochs: Index) -> Arrays:
        """See `Blocks.batch`."""
        room, offsets, tokens = self.framer.room, self.store.offsets, self.store.tokens
        start, end = offsets[blocks], offsets[blocks + 1]
        if (start < 0).any() or (start >= end).any() or (end > len(tokens)).any():
            raise _damaged("a document outside the tokens")
        lengths = end - start - self.surplus
        excess = np.maximum(lengths - room, 0)
        if self.crop == "random" and excess.any():
            start = start + _uniform(self.seed, epochs, blocks, excess + 1)
        sizes = np.minimum(lengths, room)
        places = np.minimum(start[:, None] + np.arange(room), len(tokens) - 1)
        return self.framer.assemble(tokens[places], sizes, noise_pad=True)


@dataclass(frozen=True)
class View:
    """Whole batches by number: of the examples of a training run in their `order`, else of the
    blocks themselves."""

    blocks: Blocks
    order: TrainOrder | None = None

    def batch(self, numbers: list[int]) -> Arrays:
        """The arrays of `Blocks.batch`, and `index`, the numbers."""
        index = np.array(numbers, dtype=np.int64)
        located = self.order.locate(index) if self.order else (index, np.zeros_like(index))
        return {**self.blocks.batch(*located), "index": index}


def _damaged(what: str) -> ValueError:
    """For a page of a token store that no build writes, and was not among those verified."""
    return ValueError(
        f"data.cache_dir: a token store is damaged ({what}); data.verify=full finds it and builds "
        "it again"
    )


def _uniform(seed: int, epochs: Index, blocks: Index, bounds: Index) -> Index:
    """(B,) integers in [0, bounds), a fixed random function of the three keys."""
    state = np.full(len(blocks), seed % (1 << 64), dtype=np.uint64)
    for key in (epochs, blocks):
        state = _scramble(state ^ _scramble(key.astype(np.uint64)))
    return (state % bounds.astype(np.uint64)).astype(np.int64)


def _scramble(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64: a bijection under which close inputs look unrelated."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
