"""Exports of this suite, read back: the weights have the names of the algorithm already."""

from pathlib import Path
from typing import Any

from algos.settings import ALGOS
from data.packing import FRAMINGS
from diffusion.settings import NOISES
from hub.folder_files import read_json, read_weights
from hub.published import Config, Published, network_settings
from schema.check import check_values, unknown
from training.checkpoint import EMBEDDING

KIND = "discrete_diffusion"  # the model_type of the configuration
FORMAT = "export of this suite"


def is_exported(folder: Path) -> bool:
    """Whether the folder is an export in the suite's own layout."""
    file = folder / "config.json"
    return file.is_file() and read_json(file).get("model_type") == KIND


def read_exported(folder: Path, config: Config) -> Published:
    """The export in a folder. ValueError names the first key or weight that is not as it should
    be."""
    weights, files = read_weights(folder)
    algo, noise = _node(config, "algo", ALGOS), config.get("noise")
    rows, table = config.count("vocab_size"), weights.get(EMBEDDING)
    if noise is not None:
        noise = _node(config, "noise", NOISES)
    if table is None or table.shape[:1] != (rows,):
        raise ValueError(f"{EMBEDDING}: not of the {rows} rows of vocab_size")
    tokens = config.get("trained.tokens")
    return Published(
        format=FORMAT,
        name="exported",
        algo=algo,
        network=network_settings(config),
        weights=weights,
        files=[folder / "config.json", *files],
        are_averaged=config.get("trained.averaged_weights") is True,
        rows=rows,
        mask=rows - 1,
        noise=noise or {},
        tokenizer=str(folder),
        corpus=config.text("trained.corpus"),
        framing=config.choice("framing", FRAMINGS),
        steps=config.stated_count("trained.steps"),
        tokens=tokens if type(tokens) is int else None,
    )


def _node(config: Config, key: str, classes: dict[str, Any]) -> dict[str, Any]:
    """The settings at `key`, checked as those of a command."""
    name = config.choice(f"{key}.name", classes)
    values = config.get(key)
    for _, line in unknown(classes[name], values, key):
        raise ValueError(f"config.json: {line}")
    check_values(classes[name], key, **values)
    return dict(values)
