"""Exports under the names and with the configuration of the families' own code: MDLM, DUO, UDLM,
BD3-LM, and GIDD of version 1.0, as their Hub folders have them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.facts import facts_of
from backbones.rotary import BASE
from data.tokenizers import Tokenizer
from hub.convert import published_name
from hub.published import CLIP, HUB_NAMES, SIZES, Settings

UNPUBLISHED = {"gidd": {"version": "1.1"}, "bd3lm": {"noise": "uniform"}}
NEVER = -1e6  # the bias of a mask that is not predicted
CLASSES = {name: name for name in ("mdlm", "udlm", "duo", "gidd", "bd3lm")} | {"duo_distill": "duo"}


def published_layout(
    config: Settings, weights: dict[str, Tensor], vocab_size: int, tokenizer: Tokenizer
) -> tuple[Settings, dict[str, Tensor], bool]:
    """Configuration and weights, and whether the mask is the last id in it. ValueError for an
    algorithm whose family has no such folder."""
    algo, network = config["algo"], config["model"]
    family = CLASSES.get(algo["name"])
    other = UNPUBLISHED.get(algo["name"], {})
    key = next((key for key, value in other.items() if algo[key] == value), None)
    if family is None or key is not None:
        of = f"algo={algo['name']}" + (f" of algo.{key}={algo[key]}" if key else "")
        raise ValueError(
            f"export.layout=published: {of} has no published layout; mdlm, udlm, duo, duo_distill, "
            f"bd3lm with algo.noise=masked and gidd with algo.version=1.0 have"
        )
    place = vocab_size if tokenizer.mask is None else tokenizer.mask
    masked = not facts_of(algo["name"]).uniform
    renamed = {published_name(name.removeprefix("backbone.")): weights[name] for name in weights}
    renamed = _rows(renamed, vocab_size, place if masked else None)
    rows = vocab_size + masked
    if family == "gidd":
        return _gidd(config, rows), renamed | _tables(network), place == vocab_size
    settings: Settings = {
        "model_type": family,
        "architectures": [family.upper()],
        "vocab_size": rows,
        **{HUB_NAMES.get(name, name): network[name] for name in SIZES},
        "dropout": network["dropout"],
        "return_dict": False,
        "torch_dtype": "float32",
    }
    if family == "bd3lm":
        settings |= {"block_size": algo["block_size"], "time_conditioning": False}
        settings |= {key: float(algo[key]) for key in CLIP}
        settings |= {"cross_attn": True, "adaln": True, "causal": False, "var_min": True}
        settings |= {"attn_backend": "sdpa"}
    elif family != "duo":
        settings["time_conditioning"] = algo.get("time_conditioning", True)
    else:
        settings |= {"causal": False, "var_min": True}
    renamed["rotary_emb.inv_freq"] = _rates(network)
    named = {f"backbone.{name}": tensor for name, tensor in renamed.items()}
    if family == "bd3lm":
        named |= {key: torch.tensor(settings[key]) for key in CLIP}
    return settings, named, place == vocab_size


def _gidd(config: Settings, rows: int) -> Settings:
    algo, network = config["algo"], config["model"]
    return {
        "model_type": "dit",
        "architectures": ["DIT"],
        "attention_dropout": 0.0,
        "hidden_size": network["hidden_size"],
        "max_seq_len": network["length"],
        "num_attention_heads": network["n_heads"],
        "num_hidden_layers": network["n_blocks"],
        "p_uniform": algo["p_uniform"],
        "t_eps": 1e-4,
        "timestep_cond_dim": network["cond_dim"],
        "torch_dtype": "float32",
        "vocab_size": rows,
    }


def _rows(weights: dict[str, Tensor], vocab_size: int, mask: int | None) -> dict[str, Tensor]:
    """Embedding and head with a row for every id: the mask at `mask`, None for no mask."""
    table = "vocab_embed.embedding"
    head = {name: f"output_layer.linear.{name}" for name in ("weight", "bias")}
    if mask is None:
        return weights | {table: weights[table][:vocab_size]}
    changed = {table: weights[table]}
    weight, bias = (weights[head[name]] for name in ("weight", "bias"))
    changed[head["weight"]] = F.pad(weight, (0, 0, 0, 1))
    changed[head["bias"]] = F.pad(bias, (0, 1), value=NEVER)
    order = torch.arange(vocab_size + 1)
    order[[mask, vocab_size]] = order[[vocab_size, mask]]
    return weights | {name: tensor[order] for name, tensor in changed.items()}


def _rates(network: Settings) -> Tensor:
    width = network["hidden_size"] // network["n_heads"]
    return 1.0 / (BASE ** (torch.arange(0, width, 2).float() / width))


def _tables(network: Settings) -> dict[str, Tensor]:
    """GIDD's rotation of q, k and v, of which the last stays as it is; (1, L, 3, 1, d)."""
    angles = torch.outer(torch.arange(network["length"]).float(), _rates(network))
    angles = torch.cat([angles, angles], -1)[None, :, None, None, :].repeat(1, 1, 3, 1, 1)
    cos, sin = angles.cos(), angles.sin()
    cos[:, :, 2], sin[:, :, 2] = 1.0, 0.0
    return {"rotary_emb.cos_cached": cos, "rotary_emb.sin_cached": sin}
