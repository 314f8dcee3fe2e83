"""Keys and types wherever they are said: on the command line, in a recipe or a group of the
user's own."""

import inspect
import sys
from pathlib import Path

import lightning as L
import pytest

import main
from schema.fields import settings_of
from training.settings import Trainer

Captured = pytest.CaptureFixture[str]


def refused(line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> list[str]:
    """The message of a command that must not start."""
    monkeypatch.setenv(main.QUIET, "1")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(main, "REFUSED_JOBS", [])
    monkeypatch.setattr(sys, "argv", ["main.py", *line])
    with pytest.raises(SystemExit) as ended:
        main.command_line()
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


OF_RECIPES = {
    "training: {emaa: 0.9}": "training.emaa: there is no such key; did you mean training.ema?",
    "loader: {globl_batch_size: 8}": "loader.globl_batch_size: there is no such key; did you mean",
    "checkpointing: {every_n_step: 1}": "checkpointing.every_n_step: there is no such key; did",
    "sampling: {stepz: 1}": "sampling.stepz: there is no such key; did you mean sampling.steps?",
    "trainer: {max_stepz: 1}": "trainer.max_stepz: there is no such key; did you mean trainer.max",
    "optim: {lrr: 1}": "optim.lrr: there is no such key; did you mean optim.lr?",
    "algo: {T: 9}": "algo.T: there is no such key; ",
    "model: {heads: 1}": "model.heads: there is no such key; ",
    "benchmark: {x: 1}": "benchmark.x: there is no such key; ",
    "wandb: {nam: x}": "wandb.nam: there is no such key; did you mean wandb.name?",
    "nothing: {x: 1}": "nothing: there is no such key; known: mode, seed",
    'optim: {lr: "1e-3"}': "optim.lr='1e-3': must be of type float, such as 0.001",
    'training: {ema: "0.9"}': "training.ema='0.9': must be of type float",
    'trainer: {max_steps: "2"}': "trainer.max_steps='2': must be of type int",
    "loader: {global_batch_size: 8.0}": "loader.global_batch_size=8.0: must be of type int",
    "optim: {lr: null}": "optim.lr=null: must be a number, such as 0.001",
    "eval: {disable_ema: null}": "eval.disable_ema=null: must be true or false, such as false",
    "optim: {lr: .inf}": "optim.lr=inf: must be a finite number",
    "sampling: {temperature: .nan}": "sampling.temperature=nan: must be a finite number",
    "model: 3": "model=3: must be a node with keys below it",
    "trainer: 3": "trainer=3: must be a node with keys below it",
    "protocol: {data: {packng: pad}}": "protocol.data.packng: there is no such key; did you mean",
    "protocol: {eval: {passes: 0}}": "protocol.eval.passes=0: must be at least 1",
    "data: {name: 3}": "data.name=3: must be a word of 1 to 100 characters, without /",
    "wandb: {name: 3}": "wandb.name=3: must be a text, or null",
    "noise: {name: {a: 1}}": "noise.name={'a': 1}: has no keys below it",
    "training: {ema: 0.9": "while parsing a flow mapping",
}


@pytest.mark.parametrize("text", OF_RECIPES)
def test_a_typo_in_a_recipe_is_named(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    monkeypatch.chdir(tmp_path)
    line = ["--config-dir", str(tmp_path), "experiment=mine"]
    (said,) = refused(line, monkeypatch, capsys)
    assert said.startswith(f"error: {OF_RECIPES[text]}"), said
    assert [file.name for file in tmp_path.iterdir()] == ["experiment"], "nothing is written"


def test_a_typo_in_a_group_of_ones_own_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for group, old, new in (
        ("model", "nano", "n_heads"),
        ("algo", "duo", "tau"),
        ("optim", "adamw", "beta1"),
        ("data", "text", "packing"),
    ):
        (tmp_path / group).mkdir()
        own = (main.ROOT / "configs" / group / f"{old}.yaml").read_text()
        (tmp_path / group / "mine.yaml").write_text(f"{own}{new}z: 1\n")
        line = [f"--config-dir={tmp_path}", f"{group}=mine"]
        (said,) = refused(line, monkeypatch, capsys)
        assert said.startswith(f"error: {group}.{new}z: there is no such key; did you mean"), said


def test_a_group_of_ones_own_that_lacks_a_key_is_told_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "mine.yaml").write_text("lr: 0.1\n")
    (said,) = refused([f"--config-dir={tmp_path}", "optim=mine"], monkeypatch, capsys)
    assert said == "error: optim.beta1: cannot be left out; by default it is 0.9"


def test_a_good_recipe_of_ones_own_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Up to its last value, which is refused to end here; a wrong key beside it is known too."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [{override /algo: duo}]\nalgo: {k: 3}\n"
        "trainer: {deterministic: true, gradient_clip_val: null}\n"
        "callbacks: {Timer: {duration: 1}}\nwandb: {notes: x}\n"
    )
    line = [f"--config-dir={tmp_path}", "experiment=mine"]
    (said,) = refused([*line, "algo.k=1"], monkeypatch, capsys)
    assert said == "error: algo.k=1: must be at least 2"
    (said,) = refused([*line, "algo.kk=1"], monkeypatch, capsys)
    assert said.startswith("error: algo.kk: there is no such key; did you mean algo.k?"), said


LINES = {
    "+training.emaa=0.9": "training.emaa: there is no such key; did you mean training.ema?",
    "+trainer.fast_devrun=1": "trainer.fast_devrun: there is no such key; ",
    "~optim.lr": "optim.lr: cannot be left out; by default it is 0.001",
    "+experiment=owt_mdlm optim.lr=0": "optim.lr=0: must be positive",
    "+optim.lr=0": "optim.lr=0: must be positive",
    "trainer.deterministic=true optim.lr=0": "optim.lr=0: must be positive",
    "algo=duo algo.curriculum={mode:x}": "algo.curriculum={'mode': 'x'}: has no keys below it",
    "mode=benchmark algo.p_uniform=0.2": "algo.p_uniform: not every algorithm of benchmark.algos",
    "mode=benchmark benchmark.algos=[ar] algo.loss_type=low_var": (
        "algo.loss_type: not every algorithm of benchmark.algos has this key"
    ),
    "algo=duo_base sampling.predictor=analytic": "sampling.predictor=analytic: algo=duo_base can",
    "algo=distillation": "training.finetune_path: algo=distillation needs the run of its teacher",
    "data.train_split=(": "data.train_split: there is no such key",
    "optim.lr=(": "optim.lr=(: cannot be read",
    "-m optim.lr=1e-3,1e-4": "checkpointing.save_dir=outputs/stdlib/mdlm-nano/seed1: optim.lr=",
    "-m optim.lr=0,0.1 algo=ar,mdlm": "checkpointing.save_dir=outputs/stdlib/ar-nano/seed1: optim",
    "mode=zero_shot": "mode=zero_shot: not a key or value here; instead: mode=ppl_eval protocol",
}


@pytest.mark.parametrize("typed", LINES)
def test_a_command_line_is_refused_in_one_true_line(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (said,) = refused(typed.split(), monkeypatch, capsys)
    assert said.startswith(f"error: {LINES[typed]}"), said


def test_a_value_that_cannot_be_read_says_how_to_quote_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (said,) = refused(["eval.tasks=a (b"], monkeypatch, capsys)
    assert said.startswith("error: eval.tasks=a (b: cannot be read (no viable alternative")
    assert said.endswith("""in quotes it is a text: 'eval.tasks="a (b"'""")


def test_a_sweep_goes_on_and_says_what_was_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    kept = [text for text in arguments if not text.startswith("checkpointing.save_dir")]
    own = ["trainer.max_steps=1", "optim.lr=0,1e-3", "-m", "lr_scheduler.num_warmup_steps=1"]
    own.append(f"checkpointing.save_dir={tmp_path}/sw (1)/lr${{optim.lr}}")
    monkeypatch.chdir(tmp_path)
    said = refused([*kept, *own], monkeypatch, capsys)
    told = [line for line in said if line.startswith("error: ")]
    assert told == [
        "error: optim.lr=0: must be positive",
        "error: refused of the sweep: optim.lr=0",
    ]
    assert (tmp_path / "sw (1)" / "lr0.001" / "checkpoints" / "last.ckpt").is_file()
    assert not (tmp_path / "sw (1)" / "lr0").exists()


def test_keys_of_the_trainer_are_lightnings() -> None:
    """With its defaults, where they are not ours."""
    known = inspect.signature(L.Trainer).parameters
    assert set(settings_of(Trainer)) <= set(known)
    for key in ("benchmark", "deterministic", "gradient_clip_algorithm", "max_time", "profiler"):
        assert settings_of(Trainer)[key].default is known[key].default
    assert settings_of(Trainer)["detect_anomaly"].default is known["detect_anomaly"].default
