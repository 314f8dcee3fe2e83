"""Folders of GIDD: of the Hugging Face Hub, and of its training."""

from pathlib import Path

from hub.folder_files import (
    MASK_TOKEN,
    mask_of_folder,
    read_json,
    read_weights,
    read_yaml,
    tokenizer_of_folder,
)
from hub.published import Config, Published, Settings, network_settings, tensors
from hub.torch_file import read_torch_file

ROUNDED = 128  # GIDD's current code makes the rows a multiple of it
HUB_NAMES = {
    "cond_dim": "timestep_cond_dim",
    "length": "max_seq_len",
    "n_blocks": "num_hidden_layers",
    "n_heads": "num_attention_heads",
}


def read_gidd_hub(folder: Path, config: Config) -> Published:
    """Of version 1.0: the current code cannot write such a folder."""
    weights, files = read_weights(folder)
    return Published(
        format="Hugging Face folder of GIDD",
        algo=_gidd(config, "", "1.0"),
        network=network_settings(config, **HUB_NAMES),
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
    state = folder / "state.json"
    steps = read_json(state).get("step") if state.is_file() else None
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
        steps=steps if type(steps) is int and steps > 0 else None,
        global_batch_size=config.stated_count("training.train_batch_size"),
    )


def _gidd(config: Config, level: str, version: str) -> Settings:
    return {
        "name": "gidd",
        "p_uniform": config.number(f"{level}p_uniform", 0, 1),
        "version": version,
    }
