"""Attention backends with one signature: queries are the last Lq of Lk positions."""

import functools
import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import flex_attention as flex_module


@dataclass(frozen=True)
class Pattern:
    """Which keys a query sees: those of its own block of `block` positions and of the blocks before
    it; without blocks all."""

    block: int | None = None

    def __post_init__(self) -> None:
        if self.block is not None and self.block < 1:
            raise ValueError(f"a block of {self.block} positions: at least 1 is needed")

    def seen(self, query: Tensor, key: Tensor) -> Tensor:
        """Bool: whether the queries at positions `query` see the keys at positions `key`."""
        if self.block is None:
            return torch.ones_like(query + key, dtype=torch.bool)
        return key // self.block <= query // self.block


FULL, CAUSAL = Pattern(), Pattern(1)
# (q, k, v, pattern, positions of the keys (Lk,) or None for 0 to Lk - 1)
Attend = Callable[[Tensor, Tensor, Tensor, Pattern, Tensor | None], Tensor]
INSTALL_FLASH = "pip install flash-attn --no-build-isolation"
FLASH_2, FLASH_3 = "flash_attn", "flash_attn_interface"  # modules
HOPPER = 9  # of the compute capability


def sdpa(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, positions: Tensor | None = None
) -> Tensor:
    """torch's own attention; q (B, H, Lq, d), k and v (B, H, Lk, d), out (B, H, Lq, d)."""
    queries, keys = q.shape[2], k.shape[2]
    in_order = pattern == CAUSAL and positions is None
    if pattern == FULL or (in_order and queries == 1):
        return F.scaled_dot_product_attention(q, k, v)
    # torch's is_causal pairs the first query with the first key; here the last ones are a pair.
    if in_order and queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    here = torch.arange(keys, device=q.device) if positions is None else positions
    seen = pattern.seen(here[-queries:].unsqueeze(-1), here)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def flash(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, positions: Tensor | None = None
) -> Tensor:
    """flash-attn on half-precision CUDA tensors, shapes as in `sdpa`; ValueError on any other, and
    for blocks and positions, which it does not know."""
    if pattern not in (FULL, CAUSAL) or (pattern == CAUSAL and positions is not None):
        raise ValueError(
            "model.attention='flash' is full, or causal in the order of the tokens; use 'sdpa' or "
            "'flex' for other patterns"
        )
    if not q.is_cuda:
        raise ValueError(f"model.attention='flash' needs a CUDA device, not {q.device}: use 'sdpa'")
    if q.dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(
            f"model.attention='flash' computes in bfloat16 or float16, not {q.dtype}: "
            "set trainer.precision=bf16-mixed or use 'sdpa'"
        )
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, L, H, d)
    mixed = _flash_kernel(q.device)(q, k, v, causal=pattern == CAUSAL)
    # Early versions of FlashAttention 3 return the sums of the softmax too.
    return (mixed if isinstance(mixed, Tensor) else mixed[0]).transpose(1, 2)


@functools.cache
def _flash_kernel(device: torch.device) -> Callable[..., Any]:
    """FlashAttention 3 on a Hopper GPU where it is installed, else 2; ValueError where only 3
    is, on another GPU."""
    third = importlib.util.find_spec(FLASH_3) is not None
    if third and torch.cuda.get_device_capability(device)[0] == HOPPER:
        return importlib.import_module(FLASH_3).flash_attn_func
    if importlib.util.find_spec(FLASH_2) is None:
        raise ValueError(
            f"model.attention='flash': FlashAttention 3 is for Hopper GPUs, not "
            f"{torch.cuda.get_device_name(device)}; install flash-attn ({INSTALL_FLASH})"
        )
    return importlib.import_module(FLASH_2).flash_attn_func


def flex(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, positions: Tensor | None = None
) -> Tensor:
    """FlexAttention, shapes as in `sdpa`: compiled on a GPU, eager and forward only on a CPU."""
    queries, keys, mask = q.shape[2], k.shape[2], None
    if positions is not None and pattern != FULL:
        mask = _blocks(pattern, queries, positions)
    elif pattern != FULL and (pattern != CAUSAL or queries > 1):
        mask = _blocks_in_order(pattern, queries, keys, q.device)
    if q.device.type != "cpu":
        return _compiled_flex()(q, k, v, block_mask=mask)
    if q.requires_grad:
        raise ValueError("model.attention='flex' cannot train on a CPU, use 'sdpa' there")
    with warnings.catch_warnings():
        # It recommends compilation, which costs more than it gains at sizes a CPU can run.
        warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
        return flex_module.flex_attention(q, k, v, block_mask=mask)


@functools.cache
def _compiled_flex() -> Callable[..., Tensor]:
    return torch.compile(flex_module.flex_attention)


@functools.lru_cache(maxsize=16)
def _blocks_in_order(
    pattern: Pattern, queries: int, keys: int, device: torch.device
) -> flex_module.BlockMask:
    return _blocks(pattern, queries, torch.arange(keys, device=device))


def _blocks(pattern: Pattern, queries: int, positions: Tensor) -> flex_module.BlockMask:
    keys = len(positions)

    def seen(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return pattern.seen(positions[query + (keys - queries)], positions[key])

    return flex_module.create_block_mask(seen, None, None, queries, keys, positions.device)


ATTENTION: dict[str, Attend] = {"sdpa": sdpa, "flash": flash, "flex": flex}


def pick_attention(name: str) -> Attend:
    """The backend `name`; ValueError if it needs a package that is not installed."""
    if name == "flash" and not any(map(importlib.util.find_spec, (FLASH_2, FLASH_3))):
        raise ValueError(
            f"model.attention='flash': flash-attn is not installed ({INSTALL_FLASH}); "
            "'sdpa' needs nothing"
        )
    return ATTENTION[name]
