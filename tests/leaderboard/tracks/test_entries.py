"""Entries of a track: each rule has a record that breaks it, which is named, and the rest stays."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evaluation.records import Record, read_records
from leaderboard.aggregate import Runs
from leaderboard.run_key import flat
from leaderboard.tracks.entries import _of_budget, entries
from tests.leaderboard.tracks.example_entries import (
    EVERY,
    STEPS,
    composed,
    curve,
    falling,
    seeds,
    write,
)

TRACK = "shakespeare-1M"


def judged(folder: Path, track: str = TRACK) -> tuple[list[tuple[str, int]], list[str]]:
    """Algorithm and seed of the entries in a folder, and the lines on the others."""
    records, problems = read_records(folder)
    reference = composed(f"track={track}")
    defaults = {algo: flat(composed(f"algo={algo}")) for algo in ("ar", "mdlm")}
    good, lines = entries(records, reference, Runs(defaults))
    return sorted((record.algo, record.seed) for record in good), [*problems, *lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An entry of AR, which nothing is wrong with."""
    seeds(tmp_path, TRACK, "ar", 2.1)
    return tmp_path


AR = [("ar", 1), ("ar", 2), ("ar", 3)]
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "training text": (
        {"training": {"digests": {"corpus": {"train": "0" * 64}}}},
        "another train text, by its digest 000000000000",
    ),
    "held-out text": (
        {"training": {"digests": {"corpus": {"valid": "0" * 64}}}},
        "another valid text, by its digest 000000000000",
    ),
    "evaluated text": ({"protocol": {"corpus_digest": "0" * 64}}, "protocol: corpus_digest is 000"),
    "blocks": ({"protocol": {"blocks": 24}}, "protocol: blocks is 24, the track has 879"),
    "framing": ({"protocol": {"framing": "bos-eos"}}, "protocol: framing is bos-eos, the track"),
    "overlap": ({"protocol": {"stride": 8}}, "protocol: stride is 8, the track has None"),
    "passes": ({"protocol": {"passes": 1}}, "protocol: passes is 1, the track has None"),
    "times": (
        {"protocol": {"times": "uniform in [0.001, 1]"}},
        "protocol: times is uniform in [0.001, 1], the track has (0, 1)",
    ),
    "named protocol": (
        {"config": {"protocol": {"name": "zero-shot"}}},
        "protocol.name=zero-shot: track=shakespeare-1M has default",
    ),
    "fewer tokens": (
        {"training": {"tokens": 900_000}},
        "900,000 tokens of training, the budget is 1M tokens",
    ),
    "more tokens": (
        {"training": {"tokens": 1_000_001}},
        "1,000,001 tokens of training, the budget is 1M tokens",
    ),
    "another seed": ({"training": {"seed": 4}, "seed": 4}, "seed 4, the track has 1, 2, 3"),
    "evaluated with another seed": ({"seed": 9}, "seed 2, the track has 1, 2, 3"),
    "evaluated with other noise": (
        {"metrics": {"noise_seed": 7}},
        "evaluated with seed=7, a run with seed 2 is with its own",
    ),
    "fine-tuned": (
        {"training": {"finetuned_from": {"algo": "mdlm", "steps": 9}}},
        "it began with the weights of another run",
    ),
    "parameters": (
        {"network": {"parameters": 250_001}},
        "250,001 parameters, the track has at most 250,000",
    ),
    "length": (
        {"config": {"model": {"length": 64}}},
        "model.length=64: track=shakespeare-1M has 128; an entry may change algo, noise",
    ),
    "the validated blocks": (
        {"config": {"trainer": {"limit_val_batches": 1}}},
        "trainer.limit_val_batches=1: track=shakespeare-1M has 2",
    ),
    "callbacks": (
        {"config": {"callbacks": {"Timer": {"duration": 1}}}},
        "callbacks.Timer.duration=1: track=shakespeare-1M has null",
    ),
    "unknown commit": ({"commit": None}, "its commit is not known"),
    "dirty without its difference": (
        {"commit": "89abcdef-dirty-0011223344556677"},
        "its commit 89abcdef-dir is dirty, and the difference is not beside it",
    ),
    "no curve": ({"metrics": {"curve": None}}, "it has no learning curve"),
    "a lost curve": ({"metrics": {"curve": "curves/0123.csv"}}, "0123.csv: No such file"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_an_entry_that_breaks_a_rule_is_named_the_rest_ranked(rule: str, folder: Path) -> None:
    changes, reason = BROKEN[rule]
    for seed in (1, 2, 3):
        nats = falling(4.0, 2.5, STEPS)
        write(folder, TRACK, "mdlm", seed, 2.5, nats, **(changes if seed == 2 else {}))
    kept, lines = judged(folder)
    assert kept == AR
    broken = [line for line in lines if reason in line]
    assert len(broken) == 1 and "no entry of track=shakespeare-1M: " in broken[0]
    missing = [
        line for line in lines if line.endswith("seed 2 is missing, the track asks for 1, 2, 3")
    ]
    assert len(lines) == 3 and len(missing) == 2


def test_what_the_track_leaves_free_may_differ(folder: Path) -> None:
    changes = {
        "optim": {"lr": 0.1},
        "model": {"n_blocks": 2},
        "trainer": {"precision": "bf16-true"},
    }
    seeds(folder, TRACK, "mdlm", 2.5, config=changes)
    assert judged(folder) == ([*AR, ("mdlm", 1), ("mdlm", 2), ("mdlm", 3)], [])


def test_a_recipe_without_all_seeds_is_no_entry(folder: Path) -> None:
    write(folder, TRACK, "mdlm", 1, 2.5, falling(4.0, 2.5, STEPS))
    kept, (line,) = judged(folder)
    assert kept == AR
    assert line.endswith("seed 2, 3 is missing, the track asks for 1, 2, 3")


@pytest.mark.parametrize("cut", ["end", "middle", "few", "edited"])
def test_a_cut_curve_is_no_evidence(cut: str, folder: Path) -> None:
    for seed in (1, 2, 3):
        nats = falling(4.0, 2.5 + 0.001 * seed, STEPS)
        file = folder / curve(folder, STEPS, EVERY, nats)
        lines = file.read_text().splitlines(keepends=True)
        left = {"end": lines[:-5], "middle": lines[:4] + lines[9:], "few": lines[:1] + lines[2::2]}
        name = (
            renamed(folder, "".join(left.get(cut, lines))) if seed == 2 else f"curves/{file.name}"
        )
        write(folder, TRACK, "mdlm", seed, 2.5, nats, metrics={"curve": name})
        if seed == 2 and cut == "edited":
            file.write_text("".join(lines[:-1]))
    kept, refused = judged(folder)
    assert kept == AR
    reason = "edited" if cut == "edited" else "its learning curve is cut: "
    assert len([line for line in refused if reason in line]) == 1


def renamed(folder: Path, text: str) -> str:
    """The name of a curve of this text, which is its digest."""
    name = f"curves/{hashlib.sha256(text.encode()).hexdigest()[:16]}.csv"
    (folder / name).write_text(text)
    return name


def test_an_edited_record_is_named(folder: Path) -> None:
    paths = seeds(folder, TRACK, "mdlm", 2.5)
    fields = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps(fields | {"value": 1.5}))
    kept, lines = judged(folder)
    assert kept == AR
    assert any("edited: the digest does not belong to the contents" in line for line in lines)


def test_samples_follow_the_likelihood_of_their_run(folder: Path) -> None:
    nats, how = falling(4.0, 2.5, STEPS), {"metric": "samples", "kind": "estimate", "value": 3.0}
    for seed in (1, 2, 3):
        write(folder, TRACK, "ar", seed, 2.1, nats, **how)
        write(folder, TRACK, "mdlm", seed, 2.5, nats, **how)
    kept, lines = judged(folder)
    assert kept == sorted([*AR, *AR])
    assert len(lines) == 3 and all(line.endswith("of a run that is no entry") for line in lines)


def test_a_budget_of_seconds_is_held_on_its_machine(tmp_path: Path) -> None:
    reference = composed("track=text8-1h")
    assert reference["track"]["machine"] == "H100"
    made = {
        "machine": {"gpu": "NVIDIA H100 80GB HBM3", "gpus": 1},
        "another": {"gpu": "NVIDIA A100", "gpus": 1},
        "several": {"gpu": "NVIDIA H100 80GB HBM3", "gpus": 8},
    }
    found = {}
    for name, hardware in made.items():
        place = tmp_path / name
        config = composed("track=text8-1h", "algo=mdlm", "training.max_seconds=3600")
        fields = {"hardware": hardware, "config": config, "metrics": {"train_seconds": 3601.0}}
        fields["protocol"] = {"length": 256, "tokenizer": "text8"}
        seeds(place, TRACK, "mdlm", 2.5, **fields)
        found[name] = judged(place, "text8-1h")
    assert found["machine"] == ([("mdlm", 1), ("mdlm", 2), ("mdlm", 3)], [])
    assert all(
        "on 1 x NVIDIA A100, the track is of one H100" in line for line in found["another"][1]
    )
    assert all("on 8 x NVIDIA H100" in line for line in found["several"][1])
    assert [found[name][0] for name in ("another", "several")] == [[], []]


@pytest.mark.parametrize(("spent", "is_entry"), [(1e13, True), (0.99e13, False), (1.01e13, False)])
def test_a_budget_of_operations_is_what_the_record_counts(spent: float, is_entry: bool) -> None:
    record = SimpleNamespace(
        metric="ppl", metrics={"train_flops": spent}, training={"steps": STEPS, "tokens": 9}
    )
    broken = list(_of_budget(cast(Record, record), "1e13 FLOPs"))
    assert (broken == []) == is_entry
    record.metric = "samples"  # whose operations stand in the record of the likelihood
    assert not list(_of_budget(cast(Record, record), "1 FLOPs"))
