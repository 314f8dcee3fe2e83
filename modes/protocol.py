"""Named protocols of likelihood: the keys of a file of configs/protocol, put over the settings."""

from typing import Any

import lightning as L

from algos.facts import facts_of
from data.module import TokenDataModule
from data.settings import Hub
from modes import trained_run
from modes.settings import PARTS, Protocol, Settings, stored, typed
from modes.trained_run import TrainedRun

# Of the default protocol; a record names them where they differ.
PASSES, PRECISION = 4, "32-true"
# Keys of a named protocol that may differ without making another quantity of it.
FREE = ("eval.passes", "trainer.precision")


def applied(settings: Settings, preset: Protocol, overridden: set[str]) -> Settings:
    """`settings` with the keys of `preset`, but for those `overridden` on the command line.

    ValueError for a length above that of the run, and for impossible settings."""
    length, most = preset.model.get("length"), settings.model.length
    if length is not None and length > most and "model.length" not in overridden:
        raise ValueError(
            f"protocol={preset.name}: its model.length={length}, the run was trained with "
            f"{most}, at most that; model.length={most} makes another protocol of it"
        )
    plain = stored(settings)
    for group in PARTS:
        keys = getattr(preset, group).items()
        plain[group] |= {key: value for key, value in keys if f"{group}.{key}" not in overridden}
    of_hub = isinstance(settings.data, Hub)  # other corpora have their own held-out text
    if preset.split is not None and of_hub and "data.valid_split" not in overridden:
        plain["data"]["valid_split"] = preset.split
    result = typed(plain)
    if facts_of(result.algo.name).causal and result.data.framing == "none":
        raise ValueError(
            "data.framing=none: algo=ar predicts nothing without a BOS before it; choose "
            "data.framing=bos or bos-eos"
        )
    return result


def fields(run: TrainedRun, data: TokenDataModule, trainer: L.Trainer) -> dict[str, Any]:
    """The `protocol` of a record: everything that changes its number but the run itself."""
    evaluation, changed = run.settings.eval, changes(run.settings)
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


def changes(settings: Settings) -> list[str]:
    """The keys of the named protocol that the command line has other values for."""
    preset, plain = settings.protocol, stored(settings)
    pairs = {
        f"{group}.{key}": (value, plain[group].get(key))
        for group in PARTS
        for key, value in getattr(preset, group).items()
    }
    if preset.split is not None and isinstance(settings.data, Hub):
        pairs["data.valid_split"] = preset.split, settings.data.valid_split
    return sorted(key for key, (stated, has) in pairs.items() if stated != has and key not in FREE)
