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
    """Which keys a query sees, by their places in the input: those of its own block of `block`
    places and of the blocks before it, at most `window` blocks in all; without blocks all.

    With `noisy` the first so many places are a text whose blocks are noisy, and the others the same
    text, clean, from its first position on: a noisy block sees itself and the clean ones before it,
    clean ones see clean ones."""

    block: int | None = None
    window: int | None = None
    noisy: int = 0

    def __post_init__(self) -> None:
        if self.block is not None and self.block < 1:
            raise ValueError(f"a block of {self.block} positions: at least 1 is needed")

    def seen(self, query: Tensor, key: Tensor) -> Tensor:
        """Bool: whether the queries at places `query` see the keys at places `key`."""
        if self.block is None:
            return torch.ones_like(query + key, dtype=torch.bool)
        back = self._number(query) // self.block - self._number(key) // self.block
        same_text = (query < self.noisy) == (key < self.noisy)
        seen = ((back > 0) & (key >= self.noisy)) | ((back == 0) & same_text)
        return seen if self.window is None else seen & (back < self.window)

    def _number(self, place: Tensor) -> Tensor:
        """The position in the text of each place."""
        return torch.where(place < self.noisy, place, place - self.noisy)


FULL, CAUSAL = Pattern(), Pattern(1)
# (q, k, v, pattern): the queries are those of the last places
Attend = Callable[[Tensor, Tensor, Tensor, Pattern], Tensor]
INSTALL_FLASH = "pip install flash-attn --no-build-isolation"
FLASH_2, FLASH_3 = "flash_attn", "flash_attn_interface"  # modules
HOPPER = 9  # of the compute capability
PATTERNS = 32  # masks that are remembered


def sdpa(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """torch's own attention; q (B, H, Lq, d), k and v (B, H, Lk, d), out (B, H, Lq, d)."""
    queries, keys = q.shape[2], k.shape[2]
    if pattern == FULL or (pattern == CAUSAL and queries == 1):
        return F.scaled_dot_product_attention(q, k, v)
    # torch's is_causal pairs the first query with the first key; here the last ones are a pair.
    if pattern == CAUSAL and queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=_mask(pattern, queries, keys, q.device)
    )


@functools.lru_cache(maxsize=PATTERNS)
def _mask(pattern: Pattern, queries: int, keys: int, device: torch.device) -> Tensor:
    """(Lq, Lk) bool."""
    # The first call may come from an evaluation loop, and inference tensors cannot enter autograd.
    with torch.inference_mode(False):
        place = torch.arange(keys, device=device)
        return pattern.seen(place[keys - queries :].unsqueeze(-1), place)


def flash(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """flash-attn on half-precision CUDA tensors, shapes as in `sdpa`; ValueError on any other, and
    for blocks, which it does not know."""
    if pattern not in (FULL, CAUSAL):
        raise ValueError(
            "model.attention='flash' is full or causal; use 'sdpa' or 'flex' for other patterns"
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


def flex(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> Tensor:
    """FlexAttention, shapes as in `sdpa`: compiled on a GPU, eager and forward only on a CPU."""
    queries, keys, mask = q.shape[2], k.shape[2], None
    if pattern != FULL and (pattern != CAUSAL or queries > 1):
        mask = _block_mask(pattern, queries, keys, q.device)
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


@functools.lru_cache(maxsize=PATTERNS)
def _block_mask(
    pattern: Pattern, queries: int, keys: int, device: torch.device
) -> flex_module.BlockMask:
    def seen(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return pattern.seen(query + (keys - queries), key)

    with torch.inference_mode(False):  # as in `_mask`
        return flex_module.create_block_mask(seen, None, None, queries, keys, device)


ATTENTION: dict[str, Attend] = {"sdpa": sdpa, "flash": flash, "flex": flex}


def pick_attention(name: str) -> Attend:
    """The backend `name`; ValueError if it needs a package that is not installed."""
    if name == "flash" and not any(map(importlib.util.find_spec, (FLASH_2, FLASH_3))):
        raise ValueError(
            f"model.attention='flash': flash-attn is not installed ({INSTALL_FLASH}); "
            "'sdpa' needs nothing"
        )
    return ATTENTION[name]
