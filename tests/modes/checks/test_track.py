"""The rules of a track for a command: each has a command that breaks it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import main
from leaderboard.tracks.rules import budget_of
from modes.benchmark.runs import Row, rows
from modes.checks.track import check_track
from tests.changed import changed
from tests.composed import compose, composed

TRACKS = sorted(file.stem for file in (main.ROOT / "configs" / "track").glob("*.yaml"))
HEAVY = ("torch", "lightning", "numpy", "scipy", "pandas", "altair")


def held(*overrides: str) -> None:
    check_track(composed(*overrides), main.keys_of(list(overrides)), compose)


def made(*overrides: str) -> list[Row]:
    given = ["mode=benchmark", *overrides]
    return rows(compose(given), given, compose)


SHAKESPEARE, EPOCHS = "track=shakespeare-1M", "track=shakespeare-epochs"
HAS = "track=shakespeare-1M has "
REFUSED = {  # by shakespeare-1M
    "data=stdlib": "data.name=stdlib: track=shakespeare-1M has shakespeare; an entry may change",
    "data.framing=bos-eos": f"data.framing=bos-eos: {HAS}bos; an entry may change algo, noise, opt",
    "data.train_characters=9": f"data.train_characters=9: {HAS}null",
    "data.max_eval_blocks=9": f"data.max_eval_blocks=9: {HAS}null",
    "model.length=64": f"model.length=64: {HAS}128",
    "benchmark.budget='2M tokens'": f"benchmark.budget=2M tokens: {HAS}1M tokens",
    "benchmark.seeds=[4,5,6]": f"benchmark.seeds=[4, 5, 6]: {HAS}[1, 2, 3]",
    "trainer.max_steps=9": "trainer.max_steps=9: track=shakespeare-1M gives 1M tokens, which the",
    "training.max_seconds=9": f"training.max_seconds=9: {HAS}null",
    "training.finetune_path=x": f"training.finetune_path=x: {HAS}null",
    "trainer.limit_val_batches=1": f"trainer.limit_val_batches=1: {HAS}2",
    "eval.passes=1": f"eval.passes=1: {HAS}4",
    "eval.disable_ema=true": f"eval.disable_ema=true: {HAS}false",
    "protocol=zero-shot": f"protocol.name=zero-shot: {HAS}default",
    "experiment=markov": "experiment: track=shakespeare-1M is a recipe itself; single keys change",
    "callbacks.Timer.duration=1": f"callbacks.Timer.duration=1: {HAS}null",
    "track.points=1": "track.points: a rule of its file in configs/track; choose track=NAME",
    "model.hidden_size=128": (
        "model.hidden_size=128, model.n_blocks=3: 658,817 parameters for algo=ar, "
        "track=shakespeare-1M has at most 250,000"
    ),
}
REFUSED_OF_EPOCHS = {
    "optim.lr=1": "optim.lr=1: track=shakespeare-epochs has 0.003; an entry may change algo, noise",
    "loader.global_batch_size=8": "loader.global_batch_size=8: track=shakespeare-epochs has 16",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_command_that_breaks_a_rule_is_refused_in_one_line(typed: str) -> None:
    with pytest.raises(ValueError) as refusal:
        held("mode=benchmark", SHAKESPEARE, typed)
    assert str(refusal.value).startswith(REFUSED[typed])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("typed", REFUSED_OF_EPOCHS)
def test_a_track_may_leave_nothing_free_but_the_algorithm(typed: str) -> None:
    with pytest.raises(ValueError) as refusal:
        held("mode=benchmark", EPOCHS, typed)
    assert str(refusal.value).startswith(REFUSED_OF_EPOCHS[typed])


def test_a_rule_alone_is_no_track() -> None:
    with pytest.raises(ValueError, match=r"^track.name: a rule of its file in configs/track; choo"):
        held("mode=benchmark", "track.name=mine")


def test_a_track_is_for_its_two_modes() -> None:
    held("mode=leaderboard", SHAKESPEARE)
    with pytest.raises(ValueError, match=r"^track=shakespeare-1M: for mode=benchmark and mode=lea"):
        held("mode=train", SHAKESPEARE)


def test_what_is_free_or_beside_the_result_may_be_given() -> None:
    more = ["algo.loss_type=low_var", "optim.lr=0.1", "model.n_blocks=2", "benchmark.algos=[mdlm]"]
    held("mode=benchmark", SHAKESPEARE, *more, "loader.batch_size=8", "trainer.precision=32")
    held("mode=benchmark", EPOCHS, "noise=cosine", "results_dir=x", "sampling.steps=9", "seed=4")
    held("mode=benchmark", "track=text8-1h", "trainer.max_steps=9", "trainer.val_check_interval=3")


@pytest.mark.parametrize("name", TRACKS)
def test_every_track_names_itself_and_keeps_its_own_rules(name: str) -> None:
    held("mode=benchmark", f"track={name}")
    said = yaml.safe_load((main.ROOT / "configs" / "track" / f"{name}.yaml").read_text())
    assert said["track"]["name"] == name
    assert said["results_dir"] == f"results/{name}"
    assert len(said["benchmark"]["seeds"]) == 3
    assert budget_of(said["benchmark"]["budget"]) is not None


@pytest.mark.parametrize("name", TRACKS)
def test_every_track_makes_rows_that_are_checked(name: str) -> None:
    every = made(f"track={name}", "benchmark.seeds=[1]")
    assert len(every) == len(every[0].settings.benchmark.algos)
    (row,) = made(f"track={name}", "benchmark.algos=[mdlm]", "benchmark.row=1")
    assert row.name == "mdlm, seed 2" and row.settings.seed == 2
    model = row.settings.model.name
    assert row.folder == f"outputs/{name}/mdlm-{model}/seed2"


def test_rows_keep_to_the_budget_and_validate_often_enough() -> None:
    first = ["benchmark.algos=[mdlm]", "benchmark.row=0"]
    settings = made(SHAKESPEARE, *first)[0].settings
    assert settings.trainer.max_steps == 1_000_000 // (16 * 128) == 488
    assert settings.trainer.val_check_interval == 30
    larger = made(SHAKESPEARE, *first, "loader.global_batch_size=32")[0].settings
    assert larger.trainer.max_steps == 244
    assert 244 // larger.trainer.val_check_interval >= 16
    epochs = made(EPOCHS, *first)[0].settings
    assert epochs.trainer.max_steps == 64 * 25
    assert epochs.trainer.val_check_interval == 25
    timed = made("track=text8-1h", *first)[0].settings
    assert timed.training.max_seconds == 3600
    assert timed.trainer.val_check_interval == 200  # as the file has it


def test_a_refusal_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import json, sys, main\n"
        f"sys.argv = ['main.py', 'mode=benchmark', '{SHAKESPEARE}', 'eval.passes=1']\n"
        "try:\n    main.command_line()\n"
        "except SystemExit as end:\n"
        f"    print(json.dumps([end.code, [name for name in {HEAVY} if name in sys.modules]]))\n"
    )
    environment = {"PYTHONPATH": str(main.ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert json.loads(done.stdout) == [2, []], done.stderr
    assert done.stderr.startswith("error: eval.passes=1: track=shakespeare-1M has 4")
    assert list(tmp_path.iterdir()) == []


def test_a_track_without_a_budget_is_told_so() -> None:
    """A file of one's own, found by --config-dir."""
    settings = composed("track=shakespeare-1M")
    own = changed(settings, mode="benchmark", benchmark={"budget": None})
    with pytest.raises(
        ValueError, match=r"track=shakespeare-1M: benchmark.budget=None in its file"
    ):
        check_track(own, [], lambda given: own)
