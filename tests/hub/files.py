"""Small published files of random weights, for the formats and vocabularies of which none was
recorded."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from backbones.dit import DiT
from hub.convert import published_name

SIZES = {"hidden_size": 8, "cond_dim": 4, "length": 6, "n_blocks": 2, "n_heads": 2}
HUB = {"hidden_dim": 8, "cond_dim": 4, "model_length": 6, "n_blocks": 2, "n_heads": 2}


def weights(rows: int, causal: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """Of the published network, by its names and in its order, no number zero."""
    torch.manual_seed(seed)
    dit = DiT(vocab_size=rows - 1, outputs=rows, causal=causal, **SIZES)
    return {published_name(name): torch.randn_like(t) for name, t in dit.state_dict().items()}


def hub_folder(folder: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def sharded(folder: Path) -> Path:
    """The same folder with its weights in two files and an index."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, places = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    index = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index)
    return folder
