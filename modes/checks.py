"""What can be refused by looking at the configuration alone, within the first second of a command.

The rooms check their own arguments; what they check is said again here where it can be, because
importing them takes seconds. A test holds the choices against the rooms' dicts."""

from collections.abc import Collection
from typing import Any

Settings = dict[str, Any]

CHOICES = {
    "algo.loss_type": ("bound", "low_var"),
    "algo.weighting": ("clip", "dynamic", "dynamic_published", "none"),
    "model.attention": ("flash", "flex", "sdpa"),
    "data.packing": ("pad", "wrap"),
    "data.framing": ("bos", "bos-eos", "none"),
    "strategy.name": ("auto", "ddp"),
}
AT_LEAST = {
    "seed": 0,
    "model.hidden_size": 1,
    "model.length": 2,
    "model.n_blocks": 1,
    "model.n_heads": 1,
    "trainer.max_steps": 1,
    "checkpointing.every_n_steps": 1,
    "eval.passes": 1,
    "sampling.steps": 1,
    "sampling.num_sample_batches": 1,
    "loader.global_batch_size": 1,
    "loader.eval_batch_size": 1,
    "loader.num_workers": 0,
}
ABOVE_ZERO = ("sampling.temperature", "algo.max_weight", "optim.lr")
BELOW_ONE = (
    "algo.p_uniform",
    "model.dropout",
    "training.ema",
    "training.sampling_eps",
)


def check(settings: Settings, given: Collection[str]) -> None:
    """ValueError naming the key, the value and what is allowed; `given` are the overridden keys."""
    for key, allowed in CHOICES.items():
        value = lookup(settings, key)
        if value is not None and value not in allowed:
            raise ValueError(f"{key}={value!r}: choose from {', '.join(allowed)}")
    for key, least in AT_LEAST.items():
        if lookup(settings, key) < least:
            raise ValueError(f"{key}={lookup(settings, key)}: must be at least {least}")
    for key in ABOVE_ZERO:
        value = lookup(settings, key)
        if value is not None and value <= 0:
            raise ValueError(f"{key}={value}: must be positive")
    for key in BELOW_ONE:
        value = lookup(settings, key)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{key}={value}: must be at least 0 and below 1")
    check_pairs(settings, given)


def check_pairs(settings: Settings, given: Collection[str]) -> None:
    """Combinations that make no sense."""
    algo, predictor = settings["algo"], settings["sampling"]["predictor"]
    if predictor is not None and predictor not in algo["predictors"]:
        raise ValueError(
            f"sampling.predictor={predictor}: algo={algo['name']} can use {algo['predictors']}"
        )
    noise = settings["noise"]["name"]
    if any(key.split(".")[0] == "noise" for key in given) and noise not in algo["noises"]:
        allowed = algo["noises"] or "no noise key: its own parameters set it"
        raise ValueError(f"noise={noise}: algo={algo['name']} takes {allowed}")
    if settings["mode"] in ("ppl_eval", "sample_eval") and not settings["eval"]["checkpoint_path"]:
        raise ValueError(
            f"eval.checkpoint_path: mode={settings['mode']} needs a run directory or a checkpoint"
        )
    width, heads = settings["model"]["hidden_size"], settings["model"]["n_heads"]
    if width % (2 * heads):
        raise ValueError(
            f"model.n_heads={heads}: model.hidden_size={width} must be an even multiple of it"
        )


def lookup(settings: Settings, key: str) -> Any:
    """The value at a key with dots, None where there is none."""
    node: Any = settings
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
