"""Attention backends with one signature: queries are the last Lq of Lk positions."""

import functools
import importlib.util
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import flex_attention as flex_module

Attend = Callable[[Tensor, Tensor, Tensor, bool], Tensor]
INSTALL_FLASH = "pip install flash-attn --no-build-isolation"


def sdpa(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """torch's own attention; q (B, H, Lq, d), k and v (B, H, Lk, d), out (B, H, Lq, d)."""
    queries, keys = q.shape[2], k.shape[2]
    if not causal or queries == 1:
        return F.scaled_dot_product_attention(q, k, v)
    if queries == keys:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # torch's is_causal pairs the first query with the first key; here the last ones are a pair.
    seen = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def flash(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """flash-attn 2 on half-precision CUDA tensors, shapes as in `sdpa`; ValueError on any other."""
    if not q.is_cuda:
        raise ValueError(f"model.attention='flash' needs a CUDA device, not {q.device}: use 'sdpa'")
    if q.dtype not in (torch.bfloat16, torch.float16):
        raise ValueError(
            f"model.attention='flash' computes in bfloat16 or float16, not {q.dtype}: "
            "set trainer.precision=bf16-mixed or use 'sdpa'"
        )
    from flash_attn import flash_attn_func

    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, L, H, d)
    return flash_attn_func(q, k, v, causal=causal).transpose(1, 2)


def flex(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """FlexAttention, shapes as in `sdpa`: compiled on a GPU, eager and forward only on a CPU."""
    queries, keys = q.shape[2], k.shape[2]
    mask = _causal_blocks(queries, keys, q.device) if causal and queries > 1 else None
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
def _causal_blocks(queries: int, keys: int, device: torch.device) -> flex_module.BlockMask:
    def seen(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query + (keys - queries) >= key

    return flex_module.create_block_mask(seen, None, None, queries, keys, device=device)


ATTENTION: dict[str, Attend] = {"sdpa": sdpa, "flash": flash, "flex": flex}


def pick_attention(name: str) -> Attend:
    """The backend `name`; ValueError if it needs a package that is not installed."""
    if name == "flash" and importlib.util.find_spec("flash_attn") is None:
        raise ValueError(
            f"model.attention='flash': flash-attn is not installed ({INSTALL_FLASH}); "
            "'sdpa' needs nothing"
        )
    return ATTENTION[name]
