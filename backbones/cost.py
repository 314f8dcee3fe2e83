"""The cost of a network, from its sizes alone: parameters, operations, bytes of a training step."""

from typing import NamedTuple

from backbones.layers import WAVES
from diffusion.rows import BLOCK_BYTES, rows_at_once

FULL, MASK = 4, 1  # bytes of a float32, of an entry of a dropout mask
Parts = dict[str, float]


class Sizes(NamedTuple):
    """The arguments of a DiT that cost something; `outputs` are those of its head."""

    vocab_size: int
    outputs: int
    hidden_size: int
    length: int
    n_blocks: int
    n_heads: int
    cond_dim: int
    dropout: float
    causal: bool
    activation_checkpointing: bool


class Work(NamedTuple):
    """The work of a training step on a text: how many texts the network sees for it, through the
    head for how many times its positions, and whether a teacher sees it too; with how many keys, in
    lengths of a text, each position is multiplied."""

    texts: float = 1.0
    head: float = 1.0
    teacher: bool = False
    keys: float = 1.0


class Step(NamedTuple):
    """A training step: of which network, doing what, in blocks of `low` bytes a number (2 in bf16,
    4 in float32), with averaged weights or without, on what. Weights may be shared out in `parts`
    (0: they are not, see `backbones.sharded_cost`), and a step may have several passes."""

    sizes: Sizes
    work: Work
    low: int
    averaged: bool
    device: str = "cuda"
    parts: int = 0
    accumulates: bool = True


def parameters(sizes: Sizes) -> dict[str, int]:
    """The number of parameters by part; their sum is that of the network."""
    width, cond = sizes.hidden_size, 0 if sizes.causal else sizes.cond_dim
    modulated = cond + 1 if cond else 0  # for each number of a shift, a scale or a gate
    block = 12 * width**2 + 7 * width + 6 * width * modulated  # two norms, two biases of the MLP
    return {
        "embedding": (sizes.vocab_size + 1) * width,
        "level embedding": (WAVES + cond + 2) * cond,
        "blocks": sizes.n_blocks * block,
        "last norm": width + 2 * width * modulated,
        "head": (width + 1) * sizes.outputs,
    }


def forward_flops(sizes: Sizes) -> Parts:
    """Operations of a forward pass per token, two for a multiply-add; attention in full, though a
    causal one may skip half."""
    width, cond = sizes.hidden_size, 0 if sizes.causal else sizes.cond_dim
    modulation = (6 * sizes.n_blocks + 2) * width * cond + (WAVES + cond) * cond  # once for a text
    return {
        "matrices of the blocks": 24 * width**2 * sizes.n_blocks,
        "attention": 4 * sizes.length * width * sizes.n_blocks,
        "modulation": 2 * modulation / sizes.length,
        "head": 2 * width * sizes.outputs,
    }


def training_flops(sizes: Sizes, work: Work) -> float:
    """Operations of a training step per token: backward is twice forward, and once more where
    activations are computed again."""
    parts = forward_flops(sizes)
    head = parts.pop("head") * work.head
    parts["attention"] *= work.keys
    network = sum(parts.values())
    passes = 4 if sizes.activation_checkpointing else 3
    return work.texts * passes * network + 3 * head + work.teacher * (network + head)


def activation_bytes(sizes: Sizes, low: int) -> Parts:
    """Bytes per token that the network keeps for its backward pass. Among them on a GPU, where
    autocast widens them, and not on a CPU: the gated branches in float32."""
    width, modulated = sizes.hidden_size, not sizes.causal
    stream = 2 * FULL * width  # the input of either branch
    norms = 2 * low * width + 2 * FULL * width * modulated  # what is multiplied, and the unit norm
    attention = (3 + 2 + 1) * low * width + FULL * sizes.n_heads  # qkv, turned q and k, the mixture
    mlp = 2 * 4 * low * width
    gates = 2 * FULL * width * modulated
    masks = 2 * MASK * width * (sizes.dropout > 0)
    block = stream + norms + attention + mlp + gates + masks
    last = (1 + modulated) * FULL * width
    if sizes.activation_checkpointing:
        return {"inputs of blocks": sizes.n_blocks * FULL * width, "a block": block, "last": last}
    return {"blocks": sizes.n_blocks * block, "last": last}


def state_bytes(step: Step) -> Parts:
    """Bytes that do not depend on the batch: of each weight, and of the head's gradient before it
    joins the others."""
    parts, low = parameters(step.sizes), step.low % FULL  # 0: no copies in low precision
    count, head = sum(parts.values()), step.sizes.hidden_size * step.sizes.outputs
    return {
        "weights": FULL * count,
        "gradients": FULL * count,
        "optimizer": 2 * FULL * count,
        "averaged weights": FULL * count * step.averaged,
        "teacher": FULL * count * step.work.teacher,
        "weights in bf16": low * (parts["blocks"] + parts["last norm"]),
        "head's gradient": (FULL + 2 * low) * head,
    }


def text_bytes(step: Step) -> Parts:
    """Bytes of each text of a batch: what the network keeps, and the rows of the head."""
    kept = sum(activation_bytes(step.sizes, step.low).values())
    rows = 3 * FULL * step.sizes.hidden_size  # the hidden states, those chosen, their gradients
    length = step.sizes.length
    return {
        "activations": length * kept * step.work.texts,
        "rows of the head": length * rows * step.work.head,
    }


def logits_bytes(step: Step, batch: int) -> float:
    """Bytes of the logits of some rows at a time; what is made of them, and a teacher's logits, are
    there for a block of these rows alone."""
    tokens, low = batch * step.sizes.length, step.low
    copies = 2 * low * (low < FULL)  # logits as they are made, their gradient as it is used
    outputs = step.sizes.outputs
    numbers = outputs * min(rows_at_once(outputs, step.device), tokens * step.work.head)
    block = min(BLOCK_BYTES[step.device] / FULL, numbers)
    return numbers * (FULL + copies) + block * FULL * (1 + 2 * step.work.teacher)


def within_bytes(step: Step, batch: int) -> float:
    """Bytes of the gradients within a block."""
    tokens = batch * step.sizes.length
    return tokens * step.work.texts * (8 * step.low + 3 * FULL) * step.sizes.hidden_size


def passing_bytes(step: Step, batch: int) -> float:
    """Bytes on top while they are needed: of logits, then within a block."""
    return max(logits_bytes(step, batch), within_bytes(step, batch))


def peak_bytes(step: Step, batch: int) -> float:
    """The most that a training step holds with `batch` texts at a time."""
    state, text = sum(state_bytes(step).values()), sum(text_bytes(step).values())
    return state + batch * text + passing_bytes(step, batch)


def largest_batch(step: Step, limit: float) -> int:
    """The most texts at a time that stay within `limit` bytes; 0 where not one does."""
    low, high = 0, 1
    while peak_bytes(step, high) <= limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if peak_bytes(step, middle) <= limit else (low, middle)
    return low
