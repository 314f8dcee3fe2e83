"""Named protocols of likelihood: the keys of a file of configs/protocol, put over the settings."""

from collections.abc import Mapping
from typing import Any

import lightning as L

from algos.facts import facts_of
from data.module import TokenDataModule
from data.settings import Hub
from modes import trained_run
from modes.settings import Plain, typed
from modes.trained_run import TrainedRun

# Of the default protocol; a record names them where they differ.
PASSES, PRECISION = 4, "32-true"
# Keys of a named protocol that may differ without making another quantity of it.
FREE = ("eval.passes", "trainer.precision")


def applied(settings: Plain, preset: Mapping[str, Any], overridden: set[str]) -> Plain:
    """`settings` with the keys of `preset`, but for those `overridden` on the command line.

    ValueError for a length above that of the run, and for impossible settings."""
    groups = {group: keys for group, keys in preset.items() if isinstance(keys, Mapping)}
    length, most = groups.get("model", {}).get("length"), typed(settings).model.length
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
    options = typed(result)
    if facts_of(options.algo.name).causal and options.data.framing == "none":
        raise ValueError(
            "data.framing=none: algo=ar predicts nothing without a BOS before it; choose "
            "data.framing=bos or bos-eos"
        )
    return result | {"data": data | {"stride": options.eval.stride}}


def fields(run: TrainedRun, data: TokenDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """The `protocol` of a record: everything that changes its number but the run itself."""
    evaluation, changed = run.options.eval, changes(run.settings)
    times, batch, passes = evaluation.times, evaluation.batch_mean, evaluation.passes
    return (
        data.protocol()
        | {"weights": "averaged" if trained_run.averaged(run) else "raw"}
        | {"times": "(0, 1)" if times is None else f"uniform in {times}, noise as in training"}
        | ({} if batch is None else {"mean": f"of the token means of {batch} sequences each"})
        | ({} if not changed else {"changed": changed})
        | ({} if passes == PASSES else {"passes": passes})
        | ({} if trainer.precision == PRECISION else {"precision": trainer.precision})
    )


def changes(settings: Plain) -> list[str]:
    """The keys of the named protocol that the command line has other values for."""
    preset, text = settings["protocol"], typed(settings).data
    pairs = {
        f"{group}.{key}": (value, settings[group].get(key))
        for group, keys in preset.items()
        if isinstance(keys, Mapping)
        for key, value in keys.items()
    }
    if preset["split"] is not None and isinstance(text, Hub):
        pairs["data.valid_split"] = preset["split"], text.valid_split
    return sorted(key for key, (stated, has) in pairs.items() if stated != has and key not in FREE)
