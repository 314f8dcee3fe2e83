"""Named protocols of likelihood: the keys of a file of configs/protocol, put over the settings."""

from collections.abc import Mapping
from typing import Any

import lightning as L

from algos.facts import facts_of
from data.module import TokenDataModule
from modes import build, trained_run
from modes.trained_run import TrainedRun

# Of the default protocol; a record names them where they differ.
PASSES, PRECISION = 4, "32-true"
# Keys of a named protocol that may differ without making another quantity of it.
FREE = ("eval.passes", "trainer.precision")


def applied(
    settings: build.Settings, preset: Mapping[str, Any], overridden: set[str]
) -> build.Settings:
    """`settings` with the keys of `preset`, but for those `overridden` on the command line.

    ValueError for a length above that of the run, and for impossible settings."""
    groups = {group: keys for group, keys in preset.items() if isinstance(keys, Mapping)}
    length, most = groups.get("model", {}).get("length"), settings["model"]["length"]
    if length is not None and length > most and "model.length" not in overridden:
        raise ValueError(
            f"protocol={preset['name']}: its model.length={length}, the run was trained with "
            f"{most}, at most that; model.length={most} makes another protocol of it"
        )
    result = dict(settings)
    for group, keys in groups.items():
        new = {key: value for key, value in keys.items() if f"{group}.{key}" not in overridden}
        result[group] = settings[group] | new
    data, split = result["data"], preset.get("split")
    if split is not None and data.get("corpus") == "hub" and "data.valid_split" not in overridden:
        data = data | {"valid_split": split}  # other corpora have their own held-out text
    result["data"] = data | {"stride": result["eval"]["stride"]}
    _check(result)
    return result


def _check(settings: build.Settings) -> None:
    if facts_of(settings["algo"]["name"]).causal and settings["data"]["framing"] == "none":
        raise ValueError(
            "data.framing=none: algo=ar predicts nothing without a BOS before it; choose "
            "data.framing=bos or bos-eos"
        )


def fields(run: TrainedRun, data: TokenDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """The `protocol` of a record: everything that changes its number but the run itself."""
    evaluation, changed = run.settings["eval"], changes(run.settings)
    times, batch, passes = (evaluation[key] for key in ("times", "batch_mean", "passes"))
    return (
        data.protocol()
        | {"weights": "averaged" if trained_run.averaged(run) else "raw"}
        | {"times": "(0, 1)" if times is None else f"uniform in {times}, noise as in training"}
        | ({} if batch is None else {"mean": f"of the token means of {batch} sequences each"})
        | ({} if not changed else {"changed": changed})
        | ({} if passes == PASSES else {"passes": passes})
        | ({} if trainer.precision == PRECISION else {"precision": trainer.precision})
    )


def changes(settings: build.Settings) -> list[str]:
    """The keys of the named protocol that the command line has other values for."""
    preset = settings["protocol"]
    pairs = {
        f"{group}.{key}": (value, settings[group].get(key))
        for group, keys in preset.items()
        if isinstance(keys, Mapping)
        for key, value in keys.items()
    }
    if preset["split"] is not None and settings["data"].get("corpus") == "hub":
        pairs["data.valid_split"] = preset["split"], settings["data"]["valid_split"]
    return sorted(key for key, (stated, has) in pairs.items() if stated != has and key not in FREE)
