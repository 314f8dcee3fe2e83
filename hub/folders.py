"""Folders of published models, each read by what its configuration says it is."""

from pathlib import Path

from hub.folder_files import mask_of_folder, read_json, read_weights, tokenizer_of_folder
from hub.gidd import read_gidd_hub, read_gidd_training
from hub.published import (
    HUB_NAMES,
    Config,
    Published,
    Settings,
    block_settings,
    network_settings,
)
from hub.sedd import TRAINED_SEDD, read_sedd_hub, read_sedd_training

KINDS = ("mdlm", "udlm", "duo", "dit", "bd3lm", "EsoLM")  # "dit" is GIDD's


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
