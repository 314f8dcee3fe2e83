"""Reading texts left to right with the weights of a causal network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.attention import CAUSAL, sdpa
from backbones.layers import EPSILON, Block
from backbones.replay import RECORDERS, Recorder, Work
from backbones.rotary import rotary_table

if TYPE_CHECKING:
    from backbones.dit import DiT

# (number of the block, q (B, H, L, d), new keys and values (2, B, H, L, d)) -> (B, H, L, d)
Attend = Callable[[int, Tensor, Tensor], Tensor]


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


class Single(NamedTuple):
    """What was recorded for one token a text, the tokens (B, 1) and the place (1,) that it
    reads."""

    replay: Work
    tokens: Tensor
    place: Tensor


class Decoder:
    """Hidden states of the newest tokens of a batch; keys and values of the earlier ones are
    remembered, up to `length` tokens in all.

    The formulas of the network's own forward pass, without dropout and in float32, in as few
    operations as they take: with one token a text, calling many small ones costs more than the
    arithmetic. So a rotation is one complex product, for which the two rows of `qkv` that make a
    pair lie beside each other, and residuals are added within matrix products.

    Where the device can record operations (see `backbones.replay`), those of one token a text are
    recorded once: the place of the token is a number on the device, every place of the memory is
    seen through a mask, and the hidden states are good until the next call.

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
        self._record = RECORDERS.get(self.embedding.device.type)
        self._memory: Tensor | None = None  # (blocks, 2, B, H, length, d)
        self._single: Single | None = None

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> Tensor:
        """Hidden states (B, L, D) of the next tokens (B, L); ValueError where there is no room for
        them."""
        count, start = tokens.shape[1], self.position
        if start + count > self.length:
            raise ValueError(f"a decoder of {self.length} tokens: no room for {start + count}")
        with torch.autocast(tokens.device.type, enabled=False):
            if count == 1 and start and self._record is not None:
                hidden = self._recorded(tokens, self._record)
            else:
                hidden = self._called(tokens)
        self.position = start + count
        return hidden

    def _called(self, tokens: Tensor) -> Tensor:
        start, end = self.position, self.position + tokens.shape[1]
        memory = self._known(len(tokens))[..., :end, :]
        each = list(zip(*memory.unbind(1), memory[..., start:, :], strict=True))

        def attend(number: int, q: Tensor, kv: Tensor) -> Tensor:
            keys, values, new = each[number]
            new.copy_(kv)
            return sdpa(q, keys, values, CAUSAL)

        return self._hidden(tokens, self.turns[start:end], attend)

    def _recorded(self, tokens: Tensor, record: Recorder) -> Tensor:
        if self._single is None:
            newest, place = tokens.clone(), torch.full((1,), self.position, device=tokens.device)
            replay = record(lambda: self._at(newest, place), tokens.device)
            self._single = Single(replay, newest, place)
        self._single.tokens.copy_(tokens)
        self._single.place.fill_(self.position)
        return self._single.replay()

    def _at(self, tokens: Tensor, place: Tensor) -> Tensor:
        """Hidden states (B, 1, D) of tokens (B, 1) at `place` (1,), which the host need not
        know."""
        memory = self._known(len(tokens))
        seen = (torch.arange(self.length, device=place.device) <= place).unsqueeze(0)

        def attend(number: int, q: Tensor, kv: Tensor) -> Tensor:
            own = memory[number].index_copy_(3, place, kv)
            return F.scaled_dot_product_attention(q, own[0], own[1], attn_mask=seen)

        return self._hidden(tokens, self.turns.index_select(0, place), attend)

    def _hidden(self, tokens: Tensor, turns: Tensor, attend: Attend) -> Tensor:
        """Hidden states (B, L, D) of tokens (B, L) with turns (L, 1, 1, d / 2)."""
        batch, count = tokens.shape
        x = F.embedding(tokens.flatten(), self.embedding)  # (B L, D)
        qkv = x.new_empty(len(x), 3 * x.shape[1])  # of one block after another
        parts = qkv.view(batch, count, 3, -1, self.width)  # (B, L, 3, H, d)
        pairs = torch.view_as_complex(parts[:, :, :2].unflatten(-1, (-1, 2)))
        q, kv = parts[:, :, 0].transpose(1, 2), parts[:, :, 1:].permute(2, 0, 3, 1, 4)
        for number, own in enumerate(self.blocks):
            torch.mm(_normed(x, own.norm_attention), own.qkv, out=qkv)
            pairs.mul_(turns)  # for pairs (B, L, 2, H, d / 2)
            mixed = attend(number, q, kv)  # (B, H, L, d)
            x.addmm_(mixed.transpose(1, 2).reshape(x.shape), own.out)
            inner = torch.addmm(own.up_bias, _normed(x, own.norm_mlp), own.up)
            x.addmm_(F.gelu(inner, approximate="tanh"), own.down).add_(own.down_bias)
        return _normed(x, self.norm).unflatten(0, tokens.shape)

    def _known(self, batch: int) -> Tensor:
        """The memory, made when the first tokens show what it needs. What is behind a mask has to
        be finite."""
        if self._memory is None:
            heads = self.embedding.shape[1] // self.width
            shape = (len(self.blocks), 2, batch, heads, self.length, self.width)
            make = torch.empty if self._record is None else torch.zeros
            self._memory = make(shape, dtype=self.embedding.dtype, device=self.embedding.device)
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
