"""The key that repetitions of a run share: its recipe without the seed."""

from collections.abc import Mapping
from typing import Any

from evaluation import record_schema
from evaluation.records import Record

Settings = Mapping[str, Any]

# Keys for where and how fast a run is made, which change its result by rounding alone.
EXECUTION = {
    *(f"data.{key}" for key in ("cache_dir", "num_proc", "verify")),
    *("loader.batch_size", "loader.num_workers"),
    *(f"model.{key}" for key in ("activation_checkpointing", "attention", "compile")),
    "model.loss_kernels",
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes")),
    *(f"trainer.{key}" for key in ("log_every_n_steps", "val_check_interval")),
}
# With groups and keys for how it was measured: what does not change the training.
NOT_THE_RECIPE = EXECUTION | {
    *("benchmark", "checkpointing", "estimate", "eval", "hydra", "leaderboard", "mode", "oracle"),
    *("protocol", "results_dir", "sampling", "seed", "strategy", "tensorboard", "track", "wandb"),
    *("data.max_eval_blocks", "data.stride", "data.valid_split"),
    *("loader.eval_batch_size", "trainer.limit_val_batches"),
    "training.finetune_path",  # training.finetuned_from has its contents
}


def changed(config: Settings, defaults: Settings) -> dict[str, Any]:
    """The settings of a run, by dotted key, that differ from `defaults`, the algorithm's today.

    A key that the run does not have counts as its default, one that the defaults do not have as
    null, so that a new key of the configuration does not split a recipe.
    """
    usual = _part_of_recipe(defaults)
    settings = _part_of_recipe(flat(config)).items()
    return {key: value for key, value in settings if value != usual.get(key)}


def run_key(record: Record, defaults: Settings) -> str:
    """A digest that is equal for runs that differ by their seed alone.

    Where training was given seconds, the steps and tokens that it came to are a result."""
    training, network = record.training, record.network
    timed = record.config.get("training", {}).get("max_seconds") is not None
    origin = training.get("finetuned_from") or {}
    return record_schema.digest(
        {
            "algo": record.algo,
            "kind": record.kind,
            "network": [network["name"], network["parameters"]],
            "budget": None if timed else [training["steps"], training["tokens"]],
            "from": {key: origin.get(key) for key in ("algo", "steps", "weights")},
            "config": changed(record.config, defaults),
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
