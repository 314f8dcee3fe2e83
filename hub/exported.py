"""Exports of this suite, read back: the weights have the names of the algorithm already."""

from pathlib import Path
from typing import Any

from algos.settings import ALGOS
from diffusion.settings import NOISES
from hub.published import Config
from hub.weight_files import read_json, read_weights
from schema.check import check_values, unknown

KIND = "discrete_diffusion"  # the model_type of the configuration
SIZES = ("hidden_size", "cond_dim", "length", "n_blocks", "n_heads")
FRAMINGS = ("bos", "bos-eos", "none")


def is_exported(folder: Path) -> bool:
    """Whether the folder is an export in the suite's own layout."""
    file = folder / "config.json"
    return file.is_file() and read_json(file).get("model_type") == KIND


def read_exported(folder: Path) -> tuple[dict[str, Any], int, list[Path]]:
    """The checkpoint of an export, N states without the mask, and the files. ValueError names the
    first key or weight that is not as it should be."""
    config = Config(read_json(folder / "config.json"), "config.json")
    weights, files = read_weights(folder)
    algo, noise = _node(config, "algo", ALGOS), config.get("noise")
    if noise is not None:
        noise = _node(config, "noise", NOISES)
    size = config.count("vocab_size") - 1
    table = weights.get("backbone.embedding.weight")
    if table is None or table.shape[0] != size + 1:
        raise ValueError(f"backbone.embedding.weight: not of the {size + 1} rows of vocab_size")
    trained = config.get("trained")
    trained = trained if isinstance(trained, dict) else {}
    steps = trained.get("steps")
    checkpoint = {
        "config": {
            "seed": 1,
            "algo": algo,
            "model": {
                "name": "exported",
                **{key: config.count(key) for key in SIZES},
                "dropout": 0.0,
                "attention": "sdpa",
                "activation_checkpointing": False,
                "compile": False,
            },
            "noise": noise or {},
            "data": {
                "name": config.text("trained.corpus"),
                "tokenizer_name_or_path": str(folder),
                "framing": config.choice("framing", FRAMINGS),
            },
            "loader": {"global_batch_size": 1},
            "training": {"sampling_eps": None, "antithetic_sampling": True},
        },
        "state_dict": weights,
        "global_step": steps if type(steps) is int and steps > 0 else 0,
    }
    return checkpoint, size, [folder / "config.json", *files]


def _node(config: Config, key: str, classes: dict[str, Any]) -> dict[str, Any]:
    """The settings at `key`, checked as those of a command."""
    name = config.choice(f"{key}.name", classes)
    values = config.get(key)
    for _, line in unknown(classes[name], values, key):
        raise ValueError(f"config.json: {line}")
    check_values(classes[name], key, **values)
    return dict(values)
