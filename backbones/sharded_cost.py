"""The memory of a training step whose weights are shared out (strategy=fsdp), of each device, from
the network's sizes alone: see `training.sharding`."""

from backbones.cost import FULL, Parts, Step, logits_bytes, parameters, text_bytes, within_bytes


def state_bytes(step: Step) -> Parts:
    """Bytes between two passes. Gradients of a pass that is not the last of its step stay whole;
    a teacher's head stays gathered, as no backward pass lets it go."""
    parts = parameters(step.sizes)
    count, head = FULL * sum(parts.values()), FULL * parts["head"]
    return {
        "weights": count / step.parts,
        "gradients": count if step.accumulates else count / step.parts,
        "optimizer": 2 * count / step.parts,
        "averaged weights": count * step.averaged / step.parts,
        "teacher": (count / step.parts + head) * step.work.teacher,
    }


def moment_bytes(step: Step, batch: int) -> Parts:
    """Bytes on top of those of weights, optimizer, averages and teacher, at the three moments that
    can be the fullest: in the head's forward pass, which makes its gradient, in the backward pass
    of the last block, and in that of the embedding."""
    text = batch * sum(text_bytes(step).values())
    return {
        "the head": _head(step) + text + logits_bytes(step, batch),
        "a block": _block(step) + text + within_bytes(step, batch),
        "the embedding": _embedding(step),
    }


def peak_bytes(step: Step, batch: int) -> float:
    """The most that a device holds with `batch` texts at a time."""
    state = state_bytes(step)
    return sum(state.values()) - state["gradients"] + max(moment_bytes(step, batch).values())


def fitting_batch(step: Step, limit: float, share: int) -> int:
    """The largest divisor of `share`, the texts of a device and optimizer step, that stays within
    `limit` bytes as the number of texts at a time; 0 where not one does. All of the share is one
    pass: no gradients of an earlier one are there."""
    for batch in range(share, 0, -1):
        if share % batch == 0:
            variant = step._replace(accumulates=batch < share)
            if peak_bytes(variant, batch) <= limit:
                return batch
    return 0


def _sizes(step: Step) -> tuple[float, float, float, float]:
    """Bytes in float32 of all parameters, of the embedding, of a block and of the head."""
    parts = parameters(step.sizes)
    block = parts["blocks"] / step.sizes.n_blocks
    numbers = (sum(parts.values()), parts["embedding"], block, parts["head"])
    return tuple(FULL * number for number in numbers)  # type: ignore[return-value]


def _copies(step: Step) -> int:
    """What a gathered group takes of its size: itself, and as it arrived, where others sent it."""
    return 1 + (step.parts > 1)


def _head(step: Step) -> float:
    """Gathered, its gradient, and both in low precision; whole gradients of an earlier pass."""
    count, _, _, head = _sizes(step)
    low = 2 * step.low / FULL * (step.low < FULL)
    return count * step.accumulates + head * (_copies(step) + 1 + low)


def _block(step: Step) -> float:
    """The last one gathered, with its gradient, while the one before it is on its way. The head's
    gradient is reduced, and the buffer that it was reduced in still there."""
    count, _, block, head = _sizes(step)
    earlier = (count - head) * step.accumulates
    return earlier + head * (1 + 1 / step.parts) + block * step.low / FULL * (_copies(step) + 1)


def _embedding(step: Step) -> float:
    """Gathered, with its gradient, beside reduced gradients of all others, and the buffer that the
    first block's was reduced in."""
    count, table, block, _ = _sizes(step)
    return count / step.parts + block + table * (2 + step.accumulates)
