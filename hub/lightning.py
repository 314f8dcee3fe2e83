"""Lightning checkpoints of the repositories duo, mdlm, udlm and bd3lms, and the algorithms that
they name."""

import json
from pathlib import Path
from typing import Any

from algos.facts import canonical
from hub.published import (
    LOG_LINEAR,
    Config,
    Published,
    Settings,
    averaged_weights,
    block_settings,
    network_settings,
    tensors,
)
from hub.torch_file import Record

# config.algo.name of the duo repository
ALGORITHMS = ("ar", "mdlm", "sedd", "d3pm", "duo_base", "duo", "distillation", "bd3lm")
# (config.parameterization, config.diffusion) of the mdlm and udlm repositories; the latter calls
# the bound of uniform noise d3pm, with T = 0
PARAMETERIZATIONS = {
    ("ar", "absorbing_state"): "ar",
    ("subs", "absorbing_state"): "mdlm",
    ("sedd", "absorbing_state"): "sedd",
    ("d3pm", "absorbing_state"): "d3pm",
    ("d3pm", "uniform"): "udlm",
}
# LOG_LINEAR: both repositories take eps = 1e-3, whatever noise.eps says.
NOISES = {"log-linear": LOG_LINEAR, "loglinear": LOG_LINEAR}


def is_lightning(content: Any) -> bool:
    return isinstance(content, dict) and {"state_dict", "hyper_parameters"} <= content.keys()


def read_lightning(file: Path, content: dict[str, Any]) -> Published:
    """The checkpoint that a file holds."""
    parameters = content["hyper_parameters"]
    parameters = parameters if isinstance(parameters, dict) else {}
    config = Config(parameters.get("config"), f"{file.name}: hyper_parameters.config")
    config.check_mapping()
    weights = tensors(content["state_dict"], f"{file.name}: state_dict", "backbone.")
    algo = _algorithm(config)
    averaged = content.get("ema")
    rows = parameters.get("vocab_size")
    return Published(
        format="Lightning checkpoint",
        algo=algo,
        network=network_settings(config, "model."),
        weights=weights,
        files=[file],
        averaged=None if averaged is None else averaged_weights(averaged, weights, file.name),
        rows=rows if type(rows) is int else None,
        mask=mask_of(parameters.get("tokenizer")),
        noise={} if algo["name"] == "ar" else NOISES[config.choice("noise.type", NOISES)],
        tokenizer=config.text("data.tokenizer_name_or_path"),
        corpus=config.text("data.train"),
        steps=Config(content, file.name).stated_count("global_step"),
        global_batch_size=config.stated_count("loader.global_batch_size"),
        framing="bos" if algo["name"] == "bd3lm" else "bos-eos",  # the first token is given
    )


def _algorithm(config: Config) -> Settings:
    """Name and keywords of the algorithm; ValueError where this suite has none that computes the
    same."""
    if config.get("algo") is not None:
        level, name = "algo.", canonical(config.choice("algo.name", ALGORITHMS))
    else:
        level, name = "", _by_parameterization(config)
    config.choice(f"{level}backbone", ("dit", "hf_dit", "ar"))
    config.choice(f"{level}subs_masking", (False, None))
    config.choice("model.tie_word_embeddings", (False, None))
    if name == "d3pm":
        return {"name": name, "T": config.count("algo.T" if level else "T")}
    if name != "duo_distill":  # its T is the grid of its training
        config.choice(f"{level}T", (0, None))
    conditioned = config.flag(f"{level}time_conditioning", False)
    if name == "bd3lm":
        config.choice("algo.time_conditioning", (False, None))
        config.choice("algo.cross_attn", (True, None))
        return block_settings(config, config.count("model.length"), "training.")
    if name == "mdlm":
        return {"name": name, "time_conditioning": conditioned}
    if name != "ar" and not conditioned:
        raise config.refusal(f"{level}time_conditioning", f"true: {name} is told the noise level")
    if name in ("duo", "duo_distill"):
        return {"name": name, "max_steps": config.count("trainer.max_steps")}
    return {"name": name}


def _by_parameterization(config: Config) -> str:
    parameterization = config.choice("parameterization", {key for key, _ in PARAMETERIZATIONS})
    diffusion = config.choice("diffusion", {key for _, key in PARAMETERIZATIONS})
    if (parameterization, diffusion) not in PARAMETERIZATIONS:
        raise config.refusal("parameterization", f"d3pm where diffusion={diffusion}")
    return PARAMETERIZATIONS[parameterization, diffusion]


def mask_of(tokenizer: Any) -> int | None:
    """The id of the mask of a pickled tokenizer; None where it has none, or is not there."""
    state = tokenizer.state if isinstance(tokenizer, Record) else None
    if not isinstance(state, dict):
        return None
    special = state.get("_special_tokens_map")
    mask = special.get("mask_token") if isinstance(special, dict) else state.get("_mask_token")
    if isinstance(mask, Record):  # an AddedToken
        mask = mask.state.get("content") if isinstance(mask.state, dict) else None
    if not isinstance(mask, str):
        return None
    for vocabulary in (
        *_of_library(state.get("_tokenizer")),
        state.get("vocab"),
        state.get("_vocab"),
    ):
        number = vocabulary.get(mask) if isinstance(vocabulary, dict) else None
        if type(number) is int:
            return number
    return None


def _of_library(tokenizer: Any) -> list[dict[Any, Any]]:
    """The added tokens and the vocabulary of a tokenizer of the library tokenizers, whose state is
    its JSON text."""
    state = tokenizer.state if isinstance(tokenizer, Record) else None
    try:
        layout = json.loads(state) if isinstance(state, bytes | str) else {}
        added = {token["content"]: token["id"] for token in layout.get("added_tokens", [])}
        return [added, layout.get("model", {}).get("vocab", {})]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
