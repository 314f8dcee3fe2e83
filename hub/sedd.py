"""Folders of SEDD: of the Hugging Face Hub, and of its training."""

from pathlib import Path
from typing import Any

from hub.folder_files import read_weights, read_yaml
from hub.published import Config, Published, Settings, averaged_weights, network_settings, tensors
from hub.torch_file import read_torch_file

TRAINED_SEDD = Path("checkpoints-meta") / "checkpoint.pth"
SEDD_CONFIG = Path(".hydra") / "config.yaml"
SIGMAS = ("sigma_min", "sigma_max")


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
    steps = content.get("step")
    config = Config(read_yaml(hydra), str(SEDD_CONFIG))
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
