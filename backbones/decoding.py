"""Reading texts left to right with the weights of a causal network."""

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention import CAUSAL, sdpa
from backbones.layers import EPSILON, Block
from backbones.rotary import rotary_table

if TYPE_CHECKING:
    from backbones.dit import DiT


class Weights(NamedTuple):
    """Those of a block, float32; matrices (inputs, outputs)."""

    norm_attention: Tensor
    qkv: Tensor
    out: Tensor
    norm_mlp: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


class Decoder:
    """Hidden states of the newest tokens of a batch; keys and values of the earlier ones are
    remembered, up to `length` tokens in all.

    The formulas of the network's own forward pass, without dropout and in float32, in as few
    operations as they take: with one token a text, calling many small ones costs more than the
    arithmetic. So a rotation is one complex product, for which the two rows of `qkv` that make a
    pair lie beside each other, and residuals are added within matrix products.

    ValueError for a network that is not causal, or shorter than `length`."""

    def __init__(self, network: "DiT", length: int) -> None:
        if not network.causal:
            raise ValueError("only a causal network reads left to right: here every token sees all")
        if length > network.length:
            raise ValueError(f"model.length={network.length}: too short for {length} tokens")
        self.length = length
        self.position = 0  # tokens read so far
        self.width = network.head_width  # d = D / H
        self.embedding = _float(network.embedding.weight)
        self.norm = _float(network.norm.weight)
        self.blocks = [_weights(cast(Block, block), self.width) for block in network.blocks]
        cos, sin = rotary_table(length, self.width, self.embedding.device)
        half = self.width // 2
        self.turns = torch.complex(cos[..., :half], sin[..., half:]).unsqueeze(1)
        self._memory: Tensor | None = None  # (blocks, 2, B, H, length, d)

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """Hidden states (B, L, D) of the next tokens (B, L); ValueError where there is no room for
        them."""
        (batch, count), start = tokens.shape, self.position
        end = start + count
        if end > self.length:
            raise ValueError(f"a decoder of {self.length} tokens: no room for {end}")
        with torch.autocast(tokens.device.type, enabled=False):
            x = F.embedding(tokens.flatten(), self.embedding)  # (B L, D)
            qkv = x.new_empty(len(x), 3 * x.shape[1])  # of one block after another
            parts = qkv.view(batch, count, 3, -1, self.width)  # (B, L, 3, H, d)
            pairs = torch.view_as_complex(parts[:, :, :2].unflatten(-1, (-1, 2)))
            turns = self.turns[start:end]  # (L, 1, 1, d / 2), for pairs (B, L, 2, H, d / 2)
            q, kv = parts[:, :, 0].transpose(1, 2), parts[:, :, 1:].permute(2, 0, 3, 1, 4)
            memory = self._known(kv)[..., :end, :]
            each = zip(self.blocks, *memory.unbind(1), memory[..., start:, :], strict=True)
            for own, keys, values, new in each:
                torch.mm(_normed(x, own.norm_attention), own.qkv, out=qkv)
                pairs.mul_(turns)
                new.copy_(kv)
                mixed = sdpa(q, keys, values, CAUSAL)  # (B, H, L, d)
                x.addmm_(mixed.transpose(1, 2).reshape(x.shape), own.out)
                inner = torch.addmm(own.up_bias, _normed(x, own.norm_mlp), own.up)
                x.addmm_(F.gelu(inner, approximate="tanh"), own.down).add_(own.down_bias)
            self.position = end
            return _normed(x, self.norm).unflatten(0, tokens.shape)

    def _known(self, kv: Tensor) -> Tensor:
        """The memory, made when the first keys and values (2, B, H, L, d) show what it needs."""
        if self._memory is None:
            shape = (len(self.blocks), *kv.shape[:3], self.length, self.width)
            self._memory = kv.new_empty(shape)
        return self._memory


def _weights(block: Block, width: int) -> Weights:
    attention, inputs = block.attention, block.attention.qkv.in_features
    up, down = (cast(nn.Linear, block.mlp[place]) for place in (0, 2))
    qk, v = attention.qkv.weight.split((2 * inputs, inputs))
    # Within a head, rows 0, 1, ..., d - 1 become 0, d / 2, 1, d / 2 + 1, ...
    pairs = qk.view(-1, 2, width // 2, inputs).transpose(1, 2).reshape(qk.shape)
    return Weights(
        norm_attention=_float(block.norm_attention.weight),
        qkv=_float(torch.cat([pairs, v])).t(),
        out=_float(attention.out.weight).t(),
        norm_mlp=_float(block.norm_mlp.weight),
        up=_float(up.weight).t(),
        up_bias=_float(up.bias),
        down=_float(down.weight).t(),
        down_bias=_float(down.bias),
    )


def _float(weight: Tensor) -> Tensor:
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def _normed(x: Tensor, weight: Tensor) -> Tensor:
    return torch.layer_norm(x, weight.shape, weight, eps=EPSILON)
