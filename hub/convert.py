"""From the published network's names, rows and shapes to those of the DiT; nothing is left over,
missing or of another shape."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.facts import Facts, facts_of
from backbones.dit import DiT
from backbones.rotary import BASE
from hub.published import CLIP, Published, Settings
from training.checkpoint import EMBEDDING

WHOLE = {
    "embedding.weight": "vocab_embed.embedding",
    "level.mlp.": "sigma_map.mlp.",
    "norm.weight": "output_layer.norm_final.weight",
    "modulation.": "output_layer.adaLN_modulation.",
    "head.": "output_layer.linear.",
}
OF_BLOCK = {
    "norm_attention.": "norm1.",
    "attention.qkv.": "attn_qkv.",
    "attention.out.": "attn_out.",
    "norm_mlp.": "norm2.",
    "mlp.": "mlp.",
    "modulation.": "adaLN_modulation.",
}
CLOSE = 1e-2  # of stored rotary rates: bfloat16 rounds them, which is undone here


def convert(published: Published) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """The weights of the algorithm by name, float32, and the averaged ones where there are others.
    ValueError names the first weight that is missing, unknown or misshapen."""
    weights = published.weights
    table = weights.get("vocab_embed.embedding")
    if table is None or table.dim() != 2:
        raise ValueError("vocab_embed.embedding: not there")
    rows = len(table)
    if published.rows not in (None, rows):
        raise ValueError(
            f"vocab_embed.embedding has {rows} rows, the configuration {published.rows}"
        )
    _check_blocks(weights, published.network["n_blocks"])
    causal = published.algo["name"] == "ar"
    with torch.device("meta"):
        dit = DiT(vocab_size=rows - 1, outputs=rows, causal=causal, **published.network)
    shapes = {name: tuple(tensor.shape) for name, tensor in dit.state_dict().items()}
    _check_buffers(weights, published.network)
    ids = rows if published.ids is None else published.ids
    mask = ids - 1 if published.mask is None else published.mask
    if not 2 < ids <= rows or not 0 <= mask < ids:
        raise ValueError(f"the mask {mask} of {ids} ids is not among the {rows} rows")
    facts, averaged = facts_of(published.algo["name"]), published.averaged
    moved = _rows(_renamed(weights, shapes), facts, mask, ids)
    if averaged is not None:
        averaged = _rows(_renamed(averaged, shapes), facts, mask, ids)
    return moved, averaged


def published_name(name: str) -> str:
    """The published name of a weight of the DiT."""
    head, names, rest = "", WHOLE, name
    if block := re.match(r"blocks\.\d+\.", name):
        head, names, rest = block[0], OF_BLOCK, name[block.end() :]
    start = next(start for start in names if rest.startswith(start))
    return head + names[start] + rest.removeprefix(start)


def _check_blocks(weights: dict[str, Tensor], n_blocks: int) -> None:
    """ValueError where the configuration has another number of blocks: before a network of its size
    is laid out."""
    numbers = {match[1] for name in weights if (match := re.match(r"blocks\.(\d+)\.", name))}
    if numbers != {str(number) for number in range(min(n_blocks, len(numbers) + 1))}:
        raise ValueError(f"n_blocks={n_blocks}: there are weights of {len(numbers)} blocks")


def _check_buffers(weights: dict[str, Tensor], network: Settings) -> None:
    """ValueError for stored rotary rates or tables of another number of heads, and for a bias of
    GIDD's current token, which is zero in every trained model."""
    width = network["hidden_size"] // network["n_heads"]
    rates = weights.get("rotary_emb.inv_freq")
    if rates is not None:
        expected = BASE ** (-torch.arange(0, width, 2) / width)
        if rates.shape != expected.shape or not torch.allclose(
            rates.float(), expected, rtol=CLOSE, atol=0
        ):
            raise ValueError(
                f"rotary_emb.inv_freq: not the {len(expected)} rates of "
                f"n_heads={network['n_heads']} and base {BASE:g}"
            )
    for name in ("rotary_emb.cos_cached", "rotary_emb.sin_cached"):
        if name in weights and weights[name].shape[-1:] != (width,):
            raise ValueError(f"{name}: not of n_heads={network['n_heads']}, {width} wide each")
    if "logit_bias" in weights and bool((weights["logit_bias"] != 0).any()):
        raise ValueError("logit_bias: not zero, which no network here can express")


BUFFERS = {f"rotary_emb.{name}" for name in ("inv_freq", "cos_cached", "sin_cached")}
BUFFERS |= {"logit_bias", *CLIP}


def _renamed(weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    names = {published_name(name): name for name in shapes}
    for name in sorted(names.keys() | weights.keys() - BUFFERS):
        if name not in weights:
            raise ValueError(f"{name}: not there")
        if name not in names:
            raise ValueError(f"{name}: a weight of an unknown network")
        there, here = tuple(weights[name].shape), shapes[names[name]]
        if there != here:
            raise ValueError(f"{name}: has shape {there}, the configuration says {here}")
        if not weights[name].is_floating_point():
            raise ValueError(f"{name}: has the type {weights[name].dtype}")
    return {f"backbone.{own}": weights[name].float() for name, own in names.items()}


def _rows(weights: dict[str, Tensor], facts: Facts, mask: int, ids: int) -> dict[str, Tensor]:
    """The rows of embedding and head: the mask last, in place of the token that was there, and not
    predicted; a row for a mask that does not occur where all rows are states."""
    order = torch.arange(ids)
    order[[mask, ids - 1]] = order[[ids - 1, mask]]
    outputs = ids - (not facts.uniform and not facts.outputs_mask)
    table = weights[EMBEDDING]
    table = table[order] if mask != ids - 1 else table[:ids]
    moved = {EMBEDDING: F.pad(table, (0, 0, 0, 1)) if facts.uniform else table}
    for name in ("backbone.head.weight", "backbone.head.bias"):
        rows = weights[name] if mask == ids - 1 else weights[name][order]
        moved[name] = rows[:outputs]
    return weights | moved
