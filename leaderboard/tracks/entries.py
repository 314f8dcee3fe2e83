"""The records that are entries of a track, and why others are not: every one is held against the
rules, the digests and the evidence that it must bring."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from evaluation.commit import DIRTY, is_kept
from evaluation.record_files import read_attached_curve
from evaluation.records import Record
from evaluation.words import one_line
from leaderboard.aggregate import Runs, grouped
from leaderboard.tracks.rules import broken, budget_of

Settings = Mapping[str, Any]
IN_METRICS = {"seconds": "train_seconds", "FLOPs": "train_flops"}  # what is spent of a budget
ROUNDING = 1e-9  # of products of the same numbers in another order
LATE = 1.05  # of a budget of seconds: the run ends with the first step beyond it
SPACING = 2  # times the distance of validations at equal distances, at most


def entries(
    records: Sequence[Record], reference: Settings, runs: Runs
) -> tuple[list[Record], list[str]]:
    """The records of entries, and a line for each other one; `reference` is the configuration that
    the track alone composes to. A recipe without all seeds is no entry."""
    reasons = {record.path: _reason(record, reference) for record in records}
    good = [record for record in records if record.metric == "ppl" and not reasons[record.path]]
    for group in grouped(good, runs.recipe):
        missing = sorted(set(reference["benchmark"]["seeds"]) - {run.seed for run in group})
        if missing:
            asked = _listed(reference["benchmark"]["seeds"])
            line = f"seed {_listed(missing)} is missing, the track asks for {asked}"
            reasons |= {record.path: line for record in group}
    entered = {record.checkpoint for record in good if not reasons[record.path]}
    for record in records:
        if record.metric != "ppl" and not reasons[record.path] and record.checkpoint not in entered:
            reasons[record.path] = "of a run that is no entry"
    name = reference["track"]["name"]
    refused = [(record, reasons[record.path]) for record in records if reasons[record.path]]
    return [record for record in records if not reasons[record.path]], [
        one_line(f"{record.path}: no entry of track={name}: {reason}") for record, reason in refused
    ]


def _reason(record: Record, reference: Settings) -> str | None:
    """The first rule that a record breaks by itself."""
    checks = [_of_config, _of_code, _of_training]
    checks += [_of_protocol, _of_curve] if record.metric == "ppl" else []
    return next((line for check in checks for line in check(record, reference)), None)


def _of_config(record: Record, reference: Settings) -> Iterator[str]:
    yield from broken(record.config, reference)
    most, count = reference["track"]["parameters"], record.network["parameters"]
    if most is not None and count > most:
        yield f"{count:,} parameters, the track has at most {most:,}"


def _of_code(record: Record, reference: Settings) -> Iterator[str]:
    """The code that made it can be had again."""
    if record.commit is None:
        yield "its commit is not known"
    elif DIRTY in record.commit and not is_kept(record.commit, record.path.parent):
        yield f"its commit {record.commit[:12]} is dirty, and the difference is not beside it"


def _of_training(record: Record, reference: Settings) -> Iterator[str]:
    """Seed, text, machine and budget."""
    track, training = reference["track"], record.training
    seed, seeds = training.get("seed"), reference["benchmark"]["seeds"]
    if seed not in seeds or (record.metric == "ppl" and record.seed != seed):
        yield f"seed {seed}, the track has {_listed(seeds)}"
    if record.metric == "ppl" and (noise := record.metrics.get("noise_seed", seed)) != seed:
        yield f"evaluated with seed={noise}, a run with seed {seed} is with its own"
    if training.get("finetuned_from"):
        yield "it began with the weights of another run"
    texts = (training.get("digests") or {}).get("corpus", {})
    for split, wanted in (("train", track["train_digest"]), ("valid", track["valid_digest"])):
        if wanted is not None and texts.get(split) != wanted:
            yield f"another {split} text, by its digest {str(texts.get(split))[:12]}"
    machine, hardware = track["machine"], record.hardware
    if machine is not None and (
        machine not in str(hardware.get("gpu")) or hardware.get("gpus") != 1
    ):
        yield f"on {hardware.get('gpus')} x {hardware.get('gpu')}, the track is of one {machine}"
    yield from _of_budget(record, reference["benchmark"]["budget"])


def _of_budget(record: Record, text: str) -> Iterator[str]:
    """As many whole steps as the budget allows, neither more nor fewer."""
    budget, training = budget_of(text), record.training
    assert budget is not None
    (amount, unit), steps = budget, training["steps"] or 0
    if unit in IN_METRICS and record.metric != "ppl":
        return  # they are in the record of the run's likelihood
    found = record.metrics.get(IN_METRICS[unit]) if unit in IN_METRICS else training[unit]
    spent = found or 0
    if unit == "seconds":
        kept = amount <= spent <= LATE * amount
    else:
        kept = amount - spent / max(steps, 1) < spent <= amount * (1 + ROUNDING)
    if not kept:
        yield f"{spent:,} {unit} of training, the budget is {text}"


def _of_protocol(record: Record, reference: Settings) -> Iterator[str]:
    """The evaluation, where the record says more of it than the configuration of the run."""
    data, protocol, track = reference["data"], record.protocol, reference["track"]
    wanted: dict[str, Any] = {key: data[key] for key in ("packing", "framing", "insert_eos")}
    wanted |= {
        "tokenizer": data["tokenizer_name_or_path"],
        "length": reference["model"]["length"],
        "times": "(0, 1)",
        **dict.fromkeys(("stride", "mean", "changed", "passes", "order")),
    }
    if track["blocks"] is not None:
        wanted["blocks"] = track["blocks"]
    if track["valid_digest"] is not None:
        wanted["corpus_digest"] = track["valid_digest"]
    for key, value in wanted.items():
        if protocol.get(key) != value:
            yield f"protocol: {key} is {protocol.get(key)}, the track has {value}"


def _of_curve(record: Record, reference: Settings) -> Iterator[str]:
    """A learning curve over the whole training, of as many points as the track asks for."""
    name, steps = record.metrics.get("curve"), record.training["steps"] or 0
    if name is None:
        yield "it has no learning curve"
        return
    try:
        curve = read_attached_curve(record.path.parent / name)
    except ValueError as error:
        yield f"its learning curve: {error}"
        return
    least = reference["track"]["points"]
    ends = [0, *curve.step, steps]
    widest = max(after - before for before, after in pairwise(ends))
    ordered = all(before < after for before, after in pairwise(ends[:-1]))
    if not ordered or len(curve.step) < least or widest > SPACING * steps / least:
        yield (
            f"its learning curve is cut: {len(curve.step)} points up to step "
            f"{curve.step[-1] if curve.step else 0:g} of {steps}, the track asks for {least}"
        )


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
