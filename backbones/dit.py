"""The diffusion transformer of MDLM, DUO and GIDD, and its causal form for AR."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from backbones.attention import CAUSAL, FULL, Pattern, pick_attention
from backbones.decoding import Decoder
from backbones.layers import (
    Block,
    Embedding,
    LevelEmbedding,
    Norm,
    SelfAttention,
    per_position,
    zero_,
    zero_linear,
)
from backbones.memory import LayerMemory, Memory
from backbones.rotary import Rotary, rotary_table
from backbones.settings import Model, check_heads
from diffusion.head import Head
from schema.check import check_values

# Of torch.compile: up to so many reads a value is computed again where it is needed again, as an
# array of it costs a GPU more.
INDUCTOR: dict[str, Any] = {
    "realize_reads_threshold": 6,
    "realize_acc_reads_threshold": 12,
}


class DiT(nn.Module):
    """Tokens (B, L) to hidden states (B, L, D); `head` turns those into `outputs` logits.

    A causal network takes no noise level; `pattern` is what the attention of another one sees.
    Parameters stay float32; under bf16 autocast the matrix products are bf16, while the residual
    stream, norms, rotation and level embedding stay float32. Raises ValueError on sizes that do
    not fit together and on an attention backend that is unknown or not installed.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        length: int,
        n_blocks: int,
        n_heads: int,
        cond_dim: int = 128,
        dropout: float = 0.0,
        causal: bool = False,
        outputs: int | None = None,
        attention: str = "sdpa",
        activation_checkpointing: bool = False,
        compile: bool | None = None,
        loss_kernels: bool = False,
        pattern: Pattern = FULL,
    ) -> None:
        super().__init__()
        sizes = {"hidden_size": hidden_size, "n_blocks": n_blocks, "n_heads": n_heads}
        sizes |= {"length": length, "cond_dim": cond_dim}
        check_values(Model, "model", **sizes, dropout=dropout, attention=attention)
        check_heads(hidden_size, n_heads)
        attend = pick_attention(attention)
        self.length = length
        self.head_width = hidden_size // n_heads
        self.causal = causal
        self.pattern = CAUSAL if causal else pattern
        self.dropout = dropout
        self.activation_checkpointing = activation_checkpointing
        self.embedding = Embedding(vocab_size + 1, hidden_size)  # the last row is the mask
        self.level = None if causal else LevelEmbedding(cond_dim)
        self.blocks = nn.ModuleList(
            Block(
                hidden_size,
                dropout,
                SelfAttention(hidden_size, n_heads, self.pattern, attend),
                None if causal else cond_dim,
            )
            for _ in range(n_blocks)
        )
        self.norm = Norm(hidden_size)
        self.modulation = None if causal else zero_linear(cond_dim, 2 * hidden_size)
        self.head = zero_(Head(hidden_size, vocab_size if outputs is None else outputs))
        self.compiled = bool(compile)
        if loss_kernels:
            self.head.losses = "kernels"
        elif self.compiled:
            self.head.losses = "compiled"
        if self.compiled:
            self.compile_blocks()

    def forward(
        self,
        tokens: Tensor,
        level: Tensor | None = None,
        weights: Tensor | None = None,
        dropout_seeds: Tensor | None = None,
        pattern: Pattern | None = None,
        memory: Memory | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, L, D) of tokens (B, L), of soft tokens (B, L, K) with weights, or of
        embeddings (B, L, D) that the caller has mixed.

        level (B,) or (B, L) is the noise level, None feeds zeros. `dropout_seeds` (B,) makes
        dropout a function of each text's seed, whatever the batch; without them it is torch's
        generator's. `pattern` takes the place of the network's own for this call. With `memory` the
        tokens follow what it has read of the texts, or of its `rows` (B,).
        """
        pattern = pattern or self.pattern
        self._check_inputs(tokens, level, weights)
        x = self._embed(tokens, weights)
        rotary = self._rotary(x, pattern, memory)
        condition = self._condition(level, x.device)
        layers = None if memory is None else memory.layers(rows)
        x = self._run_blocks(x, rotary, condition, dropout_seeds, pattern, layers)
        if self.modulation is None or condition is None:
            return self.norm(x)
        shift, scale = per_position(self.modulation(condition)).chunk(2, dim=-1)
        return self.norm(x, shift, scale)

    def compile_blocks(self) -> None:
        """In place: state-dict keys do not change. A copy of the network is not compiled."""
        for block in self.blocks:
            block.compile(options=INDUCTOR)

    def decoder(self, length: int) -> Decoder:
        """Reads texts of at most `length` tokens left to right, each token once."""
        return Decoder(self, length)

    def memory(self) -> Memory:
        """An empty one, of a window of the network's length."""
        return Memory(len(self.blocks), self.length)

    def _rotary(self, x: Tensor, pattern: Pattern, memory: Memory | None) -> Rotary:
        """Rotations (L, 1, d) of the places of x (B, L, D). Scores depend on differences of
        positions alone: behind a window they may go on beyond the network's length, which is
        refused elsewhere."""
        start = 0 if memory is None else memory.position
        noisy, clean = pattern.noisy, x.shape[1] - pattern.noisy
        count = start + max(noisy, clean)
        if count > self.length and memory is None and pattern.window is None:
            raise ValueError(f"model.length={self.length}: too short for {count} tokens")
        size = -(-count // self.length) * self.length
        cos, sin = rotary_table(size, self.head_width, x.device)
        if not noisy:
            return cos[start:count], sin[start:count]
        return torch.cat([cos[:noisy], cos[:clean]]), torch.cat([sin[:noisy], sin[:clean]])

    def _embed(self, tokens: Tensor, weights: Tensor | None) -> Tensor:
        if tokens.is_floating_point():
            return tokens
        if weights is None:
            plain: Tensor = self.embedding(tokens)
            return plain
        use = partial(_mixed, weights=weights.flatten(0, 1))
        # In its shape behind the module: sharding warns of one whose output is a view.
        rows: Tensor = self.embedding(tokens.flatten(0, 1), use)
        return rows.unflatten(0, tokens.shape[:2])

    def _condition(self, level: Tensor | None, device: torch.device) -> Tensor | None:
        if self.level is None:
            return None
        # Without levels one row of zeros serves the whole batch.
        return self.level(torch.zeros(1, device=device) if level is None else level)

    def _run_blocks(
        self,
        x: Tensor,
        rotary: Rotary,
        condition: Tensor | None,
        seeds: Tensor | None,
        pattern: Pattern,
        layers: list[LayerMemory] | None,
    ) -> Tensor:
        recompute = self.activation_checkpointing and torch.is_grad_enabled()
        for number, block in enumerate(self.blocks):
            own = None if seeds is None else seeds + number
            memory = None if layers is None else layers[number]
            arguments = (x, rotary, condition, own, pattern, memory)
            if recompute:
                x = checkpoint(block, *arguments, use_reentrant=False)
            else:
                x = block(*arguments)
        return x

    def _check_inputs(
        self,
        tokens: Tensor,
        level: Tensor | None,
        weights: Tensor | None,
    ) -> None:
        kind = tokens.dim(), weights is None, tokens.is_floating_point()
        if kind not in ((2, True, False), (3, False, False), (3, True, True)):
            raise ValueError(
                f"tokens of shape {tuple(tokens.shape)}: give (B, L), (B, L, K) with weights, or "
                "embeddings (B, L, D)"
            )
        if level is not None and self.causal:
            raise ValueError("a causal network takes no noise level")
        if level is not None and level.shape not in (tokens.shape[:1], tokens.shape[:2]):
            shapes = f"({tokens.shape[0]},) or {tuple(tokens.shape[:2])}"
            raise ValueError(f"level of shape {tuple(level.shape)}: give {shapes}")


def _mixed(table: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """Sums (n, D) of the rows of tokens (n, K) with weights (n, K)."""
    each = weights.to(table.dtype)
    return F.embedding_bag(tokens, table, mode="sum", per_sample_weights=each)
