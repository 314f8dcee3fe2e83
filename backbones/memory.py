"""Keys and values of what a network has read of texts, so that it need not read it again."""

import torch
from torch import Tensor


class Memory:
    """Keys and values of the newest positions of a batch of texts in every layer, up to `size` with
    those that are being read; `position` counts those that were finished so far.

    Attention does not depend on the order of its keys, so the places are a ring: new positions take
    those of the ones that leave the window."""

    def __init__(self, layers: int, size: int) -> None:
        self.size = size
        self.position = 0
        self._layers: list[Tensor | None] = [None] * layers  # (2, B, H, size, d) each

    def layers(self, rows: Tensor | None = None) -> "list[LayerMemory]":
        """What each layer sees of these texts (b,) of the batch, None for all."""
        return [LayerMemory(self, number, rows) for number in range(len(self._layers))]

    def joined(self, layer: int, new: Tensor, rows: Tensor | None) -> Tensor:
        """The keys and values (2, b, H, seen, d) of a layer, the `new` (2, b, H, n, d) among them;
        those of a whole batch stay in their places until others come there."""
        if rows is not None and self.position == 0:
            return new  # there is nothing before it
        begin, count = self.position % self.size, new.shape[3]
        seen = min(self.position + count, self.size)
        kept = self._layers[layer]
        if kept is None:
            kept = new.new_empty((*new.shape[:3], self.size, new.shape[4]))
            self._layers[layer] = kept
        if rows is not None:
            kept = kept[:, rows, :, :seen]
        kept[..., begin : begin + count, :] = new
        return kept[..., :seen, :]

    def finish(self, count: int) -> None:
        """The newest `count` positions, read last for the whole batch, stay."""
        self.position += count

    def keep(self, rows: Tensor) -> None:
        """Only these texts (b,) go on."""
        self._layers = [None if kept is None else kept[:, rows] for kept in self._layers]


class LayerMemory:
    """The part of a memory that one layer sees, for some texts of the batch."""

    def __init__(self, memory: Memory, layer: int, rows: Tensor | None) -> None:
        self.memory, self.layer, self.rows = memory, layer, rows

    def joined(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """k and v (b, H, n, d) behind those that are remembered."""
        keys, values = self.memory.joined(self.layer, torch.stack([k, v]), self.rows)
        return keys, values
