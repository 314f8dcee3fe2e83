"""Folders of published models: of the Hugging Face Hub, each read by what its configuration says it
is, and of the training of GIDD and SEDD."""

from pathlib import Path
from typing import Any

from hub.exported import KIND, read_exported
from hub.folder_files import (
    MASK_TOKEN,
    mask_of_folder,
    read_json,
    read_weights,
    read_yaml,
    tokenizer_of_folder,
)
from hub.published import (
    HUB_NAMES,
    LOG_LINEAR,
    Config,
    Published,
    Settings,
    averaged_weights,
    block_settings,
    network_settings,
    tensors,
)
from hub.torch_file import read_torch_file

KINDS = ("mdlm", "udlm", "duo", "dit", "bd3lm", "EsoLM")  # "dit" is GIDD's
ROUNDED = 128  # GIDD's current code makes the rows a multiple of it
GIDD_NAMES = {
    "cond_dim": "timestep_cond_dim",
    "length": "max_seq_len",
    "n_blocks": "num_hidden_layers",
    "n_heads": "num_attention_heads",
}
TRAINED_SEDD = Path("checkpoints-meta") / "checkpoint.pth"
SEDD_CONFIG = Path(".hydra") / "config.yaml"
SIGMAS = ("sigma_min", "sigma_max")


def read_folder(folder: Path) -> Published:
    """The checkpoint of a folder, by what its configuration says. ValueError for a folder of no
    known kind."""
    if (folder / TRAINED_SEDD).is_file():
        return read_sedd_training(folder)
    if (folder / "model.pt").is_file() and (folder / "config.yaml").is_file():
        return read_gidd_training(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: there is no config.json in it as of a published model, no "
            f"checkpoints/last.ckpt as of a run, and no run of SEDD or GIDD"
        )
    config = Config(read_json(folder / "config.json"), "config.json")
    kind = config.get("model_type")
    if kind == KIND:
        return read_exported(folder, config)
    if kind is None and config.get("graph.type") is not None:
        return read_sedd_hub(folder, config)
    kind = config.choice("model_type", KINDS)
    if kind == "EsoLM":
        raise ValueError(
            f"{config.source}: model_type={kind}: Eso-LM attends in the order of unmasking, which "
            f"no algorithm here does"
        )
    return read_gidd_hub(folder, config) if kind == "dit" else _hub_class(kind, folder, config)


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
        format=f"Hugging Face folder of {name}",
        algo=algo,
        network=network_settings(config, **HUB_NAMES),
        weights=weights,
        files=[folder / "config.json", *files],
        are_averaged=True,
        rows=config.count("vocab_size"),
        mask=mask_of_folder(folder),
        tokenizer=tokenizer_of_folder(folder),
        framing="bos" if name == "bd3lm" else "bos-eos",  # the first token is given
    )


def read_gidd_hub(folder: Path, config: Config) -> Published:
    """Of version 1.0: the current code cannot write such a folder."""
    weights, files = read_weights(folder)
    return Published(
        format="Hugging Face folder of GIDD",
        algo=_gidd(config, "", "1.0"),
        network=network_settings(config, **GIDD_NAMES),
        weights=weights,
        files=[folder / "config.json", *files],
        rows=config.count("vocab_size"),
        mask=mask_of_folder(folder),
        noise={},
        tokenizer=tokenizer_of_folder(folder),
    )


def read_gidd_training(folder: Path) -> Published:
    """GIDD's training folder. Version 1.0 pads with EOS; the current code has [PAD] as a token of
    its own, and rows up to a multiple of 128 that stand for nothing."""
    config = Config(read_yaml(folder / "config.yaml"), "config.yaml")
    config.choice("model.type", ("diffusion",))
    config.choice("model.diffusion_process", ("gidd",))
    weights = tensors(read_torch_file(folder / "model.pt"), "model.pt")
    tokenizer = read_json(folder / MASK_TOKEN) if (folder / MASK_TOKEN).is_file() else {}
    current = tokenizer.get("pad_token") not in (None, tokenizer.get("eos_token"))
    mask = mask_of_folder(folder)
    table = weights.get("vocab_embed.embedding")
    if mask is None and table is not None and table.shape[:1].numel() % ROUNDED == 0:
        raise ValueError(f"{MASK_TOKEN}: not there, so which of the rows is the mask is not known")
    file = folder / "state.json"
    state = Config(read_json(file) if file.is_file() else {}, file.name)
    return Published(
        format=f"GIDD training folder, {'current' if current else '1.0'}",
        algo=_gidd(config, "model.", "1.1" if current else "1.0"),
        network=network_settings(config, "model.", length="max_seq_len"),
        weights=weights,
        files=[folder / "config.yaml", folder / "model.pt"],
        ids=mask + 1 if current and mask is not None else None,
        mask=mask,
        noise={},
        tokenizer=tokenizer_of_folder(folder) or config.text("data.tokenizer_name"),
        corpus=config.text("data.dataset_name"),
        steps=state.stated_count("step"),
        global_batch_size=config.stated_count("training.train_batch_size"),
    )


def _gidd(config: Config, level: str, version: str) -> Settings:
    return {
        "name": "gidd",
        "p_uniform": config.number(f"{level}p_uniform", 0, 1),
        "version": version,
    }


def read_sedd_hub(folder: Path, config: Config) -> Published:
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
    config = Config(read_yaml(hydra), str(SEDD_CONFIG))
    more: Settings = {
        "averaged": averaged,
        "steps": Config(content, file.name).stated_count("step"),
    }
    return _sedd(config, "SEDD training folder", weights, [hydra, file], **more)


def _sedd(
    config: Config, format: str, weights: dict[str, Any], files: list[Path], **more: Any
) -> Published:
    """Rows are the tokens and, for absorbing noise, the mask. The network returns log scores, which
    for absorbing noise contain the shift that the algorithm adds here."""
    absorbing = config.choice("graph.type", ("absorb", "uniform")) == "absorb"
    if config.flag("model.scale_by_sigma") != absorbing:
        raise config.refusal("model.scale_by_sigma", f"{str(absorbing).lower()} for this noise")
    noise = LOG_LINEAR
    if config.choice("noise.type", ("loglinear", "geometric")) == "geometric":
        noise = {"name": "geometric"}
        noise |= {key: config.number(f"noise.{key}", 1e-12, 1e6) for key in SIGMAS}
    return Published(
        format=format,
        algo={"name": "sedd" if absorbing else "sedd_uniform"},
        network=network_settings(config, "model."),
        weights=weights,
        files=files,
        rows=config.count("tokens") + absorbing,
        noise=noise,
        corpus=config.text("data.train"),
        framing="none",
        global_batch_size=config.stated_count("training.batch_size"),
        **more,
    )
