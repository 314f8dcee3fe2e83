"""Keys and values of the tokens that a causal network has already read."""

from torch import Tensor


class KVCache:
    """Memory of one batch: per block a key and a value tensor (B, H, length, d), filled in place.

    The tensors are made at a block's first write, with its dtype and device.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.position = 0  # tokens read so far
        self._blocks: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write k, v (B, H, L, d) after the tokens read; views (B, H, position + L, d) of all.

        Raises ValueError if they carry gradients: written memory cannot be differentiated.
        """
        if k.requires_grad:
            raise ValueError("a KV cache is for sampling: call the network under torch.no_grad()")
        if block not in self._blocks:
            shape = (*k.shape[:2], self.length, k.shape[-1])
            self._blocks[block] = (k.new_empty(shape), v.new_empty(shape))
        start, end = self.position, self.position + k.shape[2]
        keys, values = self._blocks[block]
        keys[:, :, start:end] = k
        values[:, :, start:end] = v
        return keys[:, :, :end], values[:, :, :end]

    def check_room(self, count: int) -> None:
        """Raise ValueError if `count` more tokens do not fit."""
        if self.position + count > self.length:
            raise ValueError(
                f"KV cache of length {self.length}: {self.position} tokens read, "
                f"no room for {count} more"
            )
