"""Folders of the Hugging Face Hub, and the training folders of SEDD and GIDD."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from data.tokenizer_files import first_line
from hub.published import (
    Config,
    Published,
    Settings,
    averaged_weights,
    block_settings,
    network_settings,
    tensors,
)
from hub.torch_file import read_torch_file
from hub.weight_files import MOST_CONFIG_BYTES, read_json, read_weights

TRAINED_SEDD = Path("checkpoints-meta") / "checkpoint.pth"
SEDD_CONFIG = Path(".hydra") / "config.yaml"
MASK_TOKEN = "tokenizer_config.json"
ROUNDED = 128  # GIDD's current code makes the rows a multiple of it

# The classes MDLM, DUO and UDLM of the Hub
SIZES = {
    "hidden_size": "hidden_dim",
    "cond_dim": "cond_dim",
    "length": "model_length",
    "n_blocks": "n_blocks",
    "n_heads": "n_heads",
}
GIDD_HUB = {
    "hidden_size": "hidden_size",
    "cond_dim": "timestep_cond_dim",
    "length": "max_seq_len",
    "n_blocks": "num_hidden_layers",
    "n_heads": "num_attention_heads",
}
GIDD_TRAINED = {
    "hidden_size": "model.hidden_size",
    "cond_dim": "model.cond_dim",
    "length": "model.max_seq_len",
    "n_blocks": "model.n_blocks",
    "n_heads": "model.n_heads",
}
SEDD_SIZES = {
    name: f"model.{name}" for name in ("hidden_size", "cond_dim", "length", "n_blocks", "n_heads")
}


def read_folder(folder: Path) -> Published:
    """The checkpoint of a folder, by what its configuration says. ValueError for a folder of no
    known kind."""
    if (folder / TRAINED_SEDD).is_file():
        return read_sedd_training(folder)
    if (folder / "model.pt").is_file() and (folder / "config.yaml").is_file():
        return _trained_gidd(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: there is no config.json in it as of a published model, no "
            f"checkpoints/last.ckpt as of a run, and no run of SEDD or GIDD"
        )
    config = Config(read_json(folder / "config.json"), "config.json")
    kind = config.get("model_type")
    if kind is None and config.get("graph.type") is not None:
        return _hub_sedd(folder, config)
    return KINDS[config.choice("model_type", KINDS)](folder, config)


def _refused(title: str, folder: Path, config: Config) -> Published:
    raise ValueError(f"{config.source}: model_type={config.get('model_type')}: {title}")


def _hub_class(name: str, folder: Path, config: Config) -> Published:
    algo: Settings = {"name": name}
    if name == "bd3lm":
        algo = block_settings(config, config.count("model_length"))
        config.choice("time_conditioning", (False, None))
        config.choice("cross_attn", (True, None))
        config.choice("adaln", (True, None))
    elif name == "mdlm":
        algo["time_conditioning"] = config.flag("time_conditioning", False)
    elif not config.flag("time_conditioning", True):
        raise config.refusal("time_conditioning", f"true: {name} is told the noise level")
    if name == "duo":  # the curriculum is over
        algo |= {"max_steps": 1, "curriculum_steps": 0}
    config.choice("causal", (False, None))
    config.choice("cfg", (False, None))
    weights, files = read_weights(folder, "backbone.")
    return Published(
        format=f"Hugging Face folder of {config.get('model_type')}",
        algo=algo,
        network=network_settings(config, SIZES),
        weights=weights,
        files=[folder / "config.json", *files],
        are_averaged=True,
        rows=config.count("vocab_size"),
        mask=_mask_of_folder(folder),
        tokenizer=_tokenizer_of_folder(folder),
        framing="bos" if name == "bd3lm" else "bos-eos",  # the first token is given
    )


def _hub_sedd(folder: Path, config: Config) -> Published:
    weights, files = read_weights(folder)
    files = [folder / "config.json", *files]
    return _sedd(config, "Hugging Face folder of SEDD", weights, files, are_averaged=True)


def read_sedd_training(folder: Path) -> Published:
    """SEDD's training folder: the averaged weights in the order of the parameters, the rest by
    name."""
    file, hydra = folder / TRAINED_SEDD, folder / SEDD_CONFIG
    content = read_torch_file(file)
    if not isinstance(content, dict) or not {"model", "ema"} <= content.keys():
        raise ValueError(f"{file.name}: no model and ema in it, as SEDD's training writes them")
    weights = tensors(content["model"], f"{file.name}: model", "module.")
    averaged = averaged_weights(content["ema"], weights, file.name)
    steps = content.get("step")
    config = Config(_read_yaml(hydra), str(SEDD_CONFIG))
    steps = steps if type(steps) is int and steps > 0 else None
    more: Settings = {"averaged": averaged, "steps": steps}
    return _sedd(config, "SEDD training folder", weights, [hydra, file], **more)


def _sedd(
    config: Config, format: str, weights: dict[str, Any], files: list[Path], **more: Any
) -> Published:
    """Rows are the tokens and, for absorbing noise, the mask. The network returns log scores, which
    for absorbing noise contain the shift that the algorithm adds here."""
    absorbing = config.choice("graph.type", ("absorb", "uniform")) == "absorb"
    if config.flag("model.scale_by_sigma") != absorbing:
        raise config.refusal("model.scale_by_sigma", f"{str(absorbing).lower()} for this noise")
    noise: Settings = {"name": "log-linear", "eps": 1e-3}
    if config.choice("noise.type", ("loglinear", "geometric")) == "geometric":
        ends = {
            key: config.number(f"noise.{key}", 1e-12, 1e6) for key in ("sigma_min", "sigma_max")
        }
        noise = {"name": "geometric", **ends}
    return Published(
        format=format,
        algo={"name": "sedd" if absorbing else "sedd_uniform"},
        network=network_settings(config, SEDD_SIZES),
        weights=weights,
        files=files,
        rows=config.count("tokens") + absorbing,
        noise=noise,
        corpus=config.text("data.train"),
        framing="none",
        global_batch_size=config.stated_count("training.batch_size"),
        **more,
    )


def _hub_gidd(folder: Path, config: Config) -> Published:
    """Of version 1.0: the current code cannot write such a folder."""
    weights, files = read_weights(folder)
    return Published(
        format="Hugging Face folder of GIDD",
        algo=_gidd(config, "", "1.0"),
        network=network_settings(config, GIDD_HUB),
        weights=weights,
        files=[folder / "config.json", *files],
        rows=config.count("vocab_size"),
        mask=_mask_of_folder(folder),
        noise={},
        tokenizer=_tokenizer_of_folder(folder),
    )


def _trained_gidd(folder: Path) -> Published:
    """GIDD's training folder. Version 1.0 pads with EOS; the current code has [PAD] as a token of
    its own, and rows up to a multiple of 128 that stand for nothing."""
    config = Config(_read_yaml(folder / "config.yaml"), "config.yaml")
    config.choice("model.type", ("diffusion",))
    config.choice("model.diffusion_process", ("gidd",))
    weights = tensors(read_torch_file(folder / "model.pt"), "model.pt")
    tokenizer = read_json(folder / MASK_TOKEN) if (folder / MASK_TOKEN).is_file() else {}
    current = tokenizer.get("pad_token") not in (None, tokenizer.get("eos_token"))
    mask = _mask_of_folder(folder)
    table = weights.get("vocab_embed.embedding")
    if mask is None and table is not None and table.shape[:1].numel() % ROUNDED == 0:
        raise ValueError(f"{MASK_TOKEN}: not there, so which of the rows is the mask is not known")
    state = folder / "state.json"
    steps = read_json(state).get("step") if state.is_file() else None
    return Published(
        format=f"GIDD training folder, {'current' if current else '1.0'}",
        algo=_gidd(config, "model.", "1.1" if current else "1.0"),
        network=network_settings(config, GIDD_TRAINED),
        weights=weights,
        files=[folder / "config.yaml", folder / "model.pt"],
        ids=mask + 1 if current and mask is not None else None,
        mask=mask,
        noise={},
        tokenizer=_tokenizer_of_folder(folder) or config.text("data.tokenizer_name"),
        corpus=config.text("data.dataset_name"),
        steps=steps if type(steps) is int and steps > 0 else None,
        global_batch_size=config.stated_count("training.train_batch_size"),
    )


def _gidd(config: Config, level: str, version: str) -> Settings:
    return {
        "name": "gidd",
        "p_uniform": config.number(f"{level}p_uniform", 0, 1),
        "version": version,
    }


def _read_yaml(file: Path) -> Any:
    if not file.is_file():
        raise ValueError(f"{file}: not there")
    if file.stat().st_size > MOST_CONFIG_BYTES:
        raise ValueError(f"{file.name}: more than {MOST_CONFIG_BYTES:,} bytes")
    try:
        content = file.read_bytes()
        if b"<<" in content:  # small files can make large mappings of it
            raise ValueError("it merges mappings")
        return yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{file.name}: not YAML ({first_line(error)})") from error


def _tokenizer_of_folder(folder: Path) -> str | None:
    has = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt"))
    return str(folder) if has else None


def _mask_of_folder(folder: Path) -> int | None:
    """The id of the mask token of the tokenizer whose files lie in the folder."""
    if not (folder / MASK_TOKEN).is_file():
        return None
    tokenizer = read_json(folder / MASK_TOKEN, 2**24)
    mask, added = tokenizer.get("mask_token"), tokenizer.get("added_tokens_decoder")
    mask = mask.get("content") if isinstance(mask, dict) else mask
    for number, token in (added if isinstance(added, dict) else {}).items():
        if isinstance(token, dict) and token.get("content") == mask and number.isdecimal():
            return int(number)
    return None


NO_ORDERS = "Eso-LM attends in the order of unmasking, which no algorithm here does"
KINDS: dict[str, Callable[[Path, Config], Published]] = {
    "mdlm": partial(_hub_class, "mdlm"),
    "udlm": partial(_hub_class, "udlm"),
    "duo": partial(_hub_class, "duo"),
    "dit": _hub_gidd,
    "bd3lm": partial(_hub_class, "bd3lm"),
    "EsoLM": partial(_refused, NO_ORDERS),
}
