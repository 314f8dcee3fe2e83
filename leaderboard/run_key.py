"""What repeated runs have in common: their recipe, whatever version of the suite wrote it down."""

from collections.abc import Mapping
from typing import Any

from evaluation import record_schema

Settings = Mapping[str, Any]

# What says where and how a run was made or measured, not what was trained: groups, single keys.
NOT_THE_RECIPE = {
    "benchmark",
    "checkpointing",
    "estimate",
    "eval",
    "hydra",
    "mode",
    "oracle",
    "protocol",
    "results_dir",
    "sampling",
    "seed",
    "strategy",
    "tensorboard",
    "wandb",
    "data.cache_dir",
    "data.max_eval_blocks",
    "data.num_proc",
    "data.stride",
    "data.valid_split",
    "data.verify",
    "loader.batch_size",
    "loader.eval_batch_size",
    "loader.num_workers",
    "model.activation_checkpointing",
    "model.attention",
    "model.compile",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.limit_val_batches",
    "trainer.log_every_n_steps",
    "trainer.num_nodes",
    "trainer.val_check_interval",
    "training.finetune_path",  # what lies there is in training.finetuned_from
}


def chosen(fields: Settings, defaults: Settings) -> dict[str, Any]:
    """The settings, by dotted key, that differ from `defaults`, today's for the algorithm.

    A key that a record does not say had its default, since no version could set it; one that the
    defaults do not have counts as null. So records of before and after a new key agree.
    """
    said = _part_of_recipe(flat(fields["config"]))
    usual = _part_of_recipe(defaults)
    return {key: value for key, value in said.items() if value != usual.get(key)}


def recipe(fields: Settings, defaults: Settings) -> str:
    """A digest that is the same for runs that differ by their seed alone.

    Where training was given seconds, the steps and tokens that it came to are a result."""
    training, network = fields["training"], fields["network"]
    timed = fields["config"].get("training", {}).get("max_seconds") is not None
    origin = training.get("finetuned_from") or {}
    return record_schema.digest(
        {
            "algo": fields["algo"],
            "kind": fields["kind"],
            "network": [network["name"], network["parameters"]],
            "budget": None if timed else [training["steps"], training["tokens"]],
            "from": {key: origin.get(key) for key in ("algo", "steps", "weights")},
            "config": chosen(fields, defaults),
        }
    )


def flat(config: Settings, above: str = "") -> dict[str, Any]:
    """Nested keys with dots, as on the command line."""
    parts: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{above}{key}"
        parts.update(flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value})
    return parts


def _part_of_recipe(settings: Settings) -> dict[str, Any]:
    return {
        key: value
        for key, value in settings.items()
        if key not in NOT_THE_RECIPE and key.split(".")[0] not in NOT_THE_RECIPE
    }
