"""Refusals: one line, the key, the value, what is allowed; nothing heavy imported before."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import initialize_config_dir

import main
from modes.train import run as train
from tests.modes.conftest import ROOT, Command

REFUSED = {
    "mode=foo": "mode='foo': choose from audit, benchmark, downstream",
    "algo=foo": "algo=foo: choose from ar, bd3lm, d3pm, distillation, duo, duo_base, duo_distill",
    "data=foo": "data=foo: choose from",
    "experiment=foo": "experiment=foo: choose from",
    "experiment=[text8_duo,text8_mdlm]": "experiment=[text8_duo,text8_mdlm]: choose from gidd_base",
    "protocol=null": "protocol=null: choose from bd3lm-owt-1024, default, duo-lm1b",
    "algo=": "algo=: choose from ar, bd3lm, d3pm",
    "model={a:1}": "model={a:1}: choose from 8b, base",
    "trainer.max_stepz=3": "trainer.max_stepz: there is no such key; did you mean",
    "nothing.at=1": "nothing: there is no such key; known: mode, seed",
    "trainer.max_steps=abc": "trainer.max_steps='abc': must be of type int",
    "model.dropout=high": "model.dropout='high': must be of type float",
    "training.antithetic_sampling=3": "training.antithetic_sampling=3: must be of type bool",
    "trainer.max_steps=0": "trainer.max_steps=0: must be at least 1",
    "sampling.steps=0": "sampling.steps=0: must be at least 1",
    "sampling.temperature=0": "sampling.temperature=0: must be positive",
    "eval.passes=0": "eval.passes=0: must be at least 1",
    "sampling.predictor=analytic": "sampling.predictor=analytic: algo=mdlm can use [",
    "algo=ar sampling.predictor=ancestral": "sampling.predictor=ancestral: algo=ar can use ['ar']",
    "algo=gidd noise=cosine": "noise=cosine: algo=gidd takes no noise key",
    "algo=gidd noise.eps=0.01": "noise=log-linear: algo=gidd takes no noise key",
    "sampling.self_correction=-1": "sampling.self_correction=-1: must be at least 0",
    "sampling.self_correction_tokens=0": "sampling.self_correction_tokens=0: must be at least 1",
    "sampling.self_correction_patience=0": "sampling.self_correction_patience=0: must be at least",
    "sampling.self_correction_temperature=0": "sampling.self_correction_temperature=0: must be pos",
    "sampling.self_correction_time=1.0": "sampling.self_correction_time=1.0: must be at least 0",
    "sampling.self_correction=8": "sampling.self_correction=8: algo=mdlm cannot, its network",
    "mode=sample_eval algo=ar sampling.self_correction=8": "sampling.self_correction=8: algo=ar",
    "algo=gidd algo.p_uniform=0 sampling.self_correction=8": (
        "sampling.self_correction=8: algo=gidd with p_uniform=0 cannot"
    ),
    "sampling.texts=x.txt": "sampling.texts=x.txt: needs sampling.self_correction",
    "algo=gidd sampling.self_correction=1 sampling.texts=nowhere.txt": (
        "sampling.texts=nowhere.txt: there is no such file"
    ),
    "algo=gidd sampling.self_correction=1 sampling.texts=x.md": (
        "sampling.texts=x.md: a file that ends in .json, .jsonl, .txt"
    ),
    "algo=gidd sampling.self_correction=1 sampling.texts=x.txt sampling.steps=3": (
        "sampling.steps: plays no part with sampling.texts=x.txt"
    ),
    "algo=ar sampling.noise_removal=greedy": (
        "sampling.noise_removal=greedy: sampling.predictor=ar of algo=ar has its own last step"
    ),
    "algo=sedd sampling.noise_removal=greedy": "sampling.noise_removal=greedy: sampling.predictor=",
    "algo=sedd sampling.predictor=ancestral": "sampling.predictor=ancestral: algo=sedd can use",
    "algo=sedd_uniform sampling.temperature=0.5": "sampling.temperature, sampling.min_p, samp",
    "algo=d3pm noise=cosine": "noise=cosine: algo=d3pm takes ['log-linear']",
    "algo=d3pm algo.T=1": "algo.T=1: must be at least 2",
    "algo=d3pm training.sampling_eps=0.1": "training.sampling_eps=0.1: algo=d3pm draws its times",
    "algo=mdlm algo.p_uniform=0.1": "algo.p_uniform: there is no such key",
    "algo=duo algo.k=1": "algo.k=1: must be at least 2",
    "algo=duo algo.tau=0": "algo.tau=0: must be positive",
    "algo=duo algo.curriculum=x": "algo.curriculum='x': choose from efficient, full",
    "algo=duo algo.gamma_min=-1 algo.gamma_max=-2": (
        "algo.gamma_min=-1: must be below algo.gamma_max=-2"
    ),
    "algo=duo algo.gamma_min=-9": "algo.gamma_min=-9: must be from -8 to 8",
    "algo=duo algo.curriculum_share=1.5": "algo.curriculum_share=1.5: must be from 0 to 1",
    "algo=duo_distill": "training.finetune_path: algo=duo_distill needs the run of its teacher",
    "mode=benchmark benchmark.algos=[distillation]": "training.finetune_path: algo=distillation",
    "algo=duo_distill training.finetune_path=nowhere": (
        "training.finetune_path=nowhere: there is no checkpoint"
    ),
    "algo=duo_distill algo.teacher=averaged training.ema=0 training.finetune_path=x": (
        "algo.teacher=averaged: needs training.ema above 0"
    ),
    "eval.gen_ppl_eval_model_name_or_path=./x": (
        "eval.gen_ppl_eval_model_name_or_path=./x: there is no such run directory"
    ),
    "mode=benchmark benchmark.algos=[ar,foo]": (
        "benchmark.algos=['ar', 'foo']: choose from ar, bd3lm, d3pm, distillation, duo, duo_base"
    ),
    "mode=oracle data=markov oracle.algos=[foo]": "oracle.algos=['foo']: choose from ar, bd3lm",
    "mode=ppl_eval": "eval.checkpoint_path: mode=ppl_eval needs a run directory",
    "mode=downstream eval.checkpoint_path=./x eval.tasks=[arc_easy]": (
        "eval.checkpoint_path=./x: there is no checkpoint at x"
    ),
    "mode=oracle data=markov eval.checkpoint_path=./x": (
        "eval.checkpoint_path=./x: there is no checkpoint at x"
    ),
    "mode=sample_eval": "eval.checkpoint_path: mode=sample_eval needs a run directory",
    "algo=gidd algo.weighting=x": "algo.weighting='x': choose from clip, dynamic",
    "algo=gidd algo.p_uniform=1.2": "algo.p_uniform=1.2: must be at least 0 and below 1",
    "model.n_heads=3": "model.n_heads=3: model.hidden_size=128 must be an even multiple",
    "model.attention=x": "model.attention='x': choose from flash, flex, sdpa",
    "strategy.name=x": "strategy.name='x': choose from auto, ddp",
    "training.ema=1.5": "training.ema=1.5: must be at least 0 and below 1",
    "training.sampling_eps=1.0": "training.sampling_eps=1.0: must be",
    "trainer.max_steps=[": "trainer.max_steps=[: cannot be read (no viable alternative at input",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_refused_in_one_line_without_heavy_imports(overrides: str, without_torch: Command) -> None:
    """Importing torch would fail here: a refusal must not get that far."""
    done = without_torch(*overrides.split())
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith(f"error: {REFUSED[overrides]}")


def test_help_names_the_groups_and_needs_no_torch(without_torch: Command) -> None:
    done = without_torch("--help")
    assert done.returncode == 0, done.stderr
    for word in ("mode", "algo: ar, bd3lm, d3pm, distillation", "max_steps"):
        assert word in done.stdout


BAD_RUNS = {
    "model.n_heads=3": "model.n_heads=3",
    "model.attention=flash": "model.attention='flash': flash-attn is not installed",
    "model.attention=x": "model.attention='x': choose from",
    "algo=gidd algo.weighting=x": "algo.weighting='x': choose from",
    "data.path=nowhere.txt": "nowhere.txt",
    "data.tokenizer_name_or_path=./nowhere": "data.tokenizer_name_or_path='./nowhere'",
    "loader.batch_size=3": "loader.global_batch_size=4",
    "strategy.name=x": "strategy.name='x': choose from auto, ddp",
    "+callbacks.X.y=1": "callbacks='X': choose from",
    "training.ema=1.5": "training.ema=1.5",
    "training.sampling_eps=1.0": "training.sampling_eps=1.0",
    "trainer.devices=3": "loader.global_batch_size=4",
    "lr_scheduler=cosine_warmup trainer.max_steps=2": "lr_scheduler.num_warmup_steps=2",
}


@pytest.mark.parametrize("overrides", BAD_RUNS)
def test_a_run_that_cannot_be_is_refused(
    overrides: str, arguments: list[str], tmp_path: Path
) -> None:
    """In this process, since imports take most of the time of a command."""
    everything = [*arguments, *overrides.split()]
    configs = initialize_config_dir(str(ROOT / "configs"), version_base="1.3")
    with configs, pytest.raises((ValueError, OSError)) as caught:
        train.run(main.compose(everything), everything, main.compose)
    assert BAD_RUNS[overrides] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert main.is_ours(caught.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_its_refusal_is_one_line_on_the_command_line(command: Command) -> None:
    done = command("data.path=nowhere.txt")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("error: data.path=")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["estimate=true"]])
def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(
    arguments: list[str], environment: dict[str, str]
) -> None:
    line = [sys.executable, str(ROOT / "main.py"), *arguments]
    buffered = environment | {"PYTHONUNBUFFERED": ""}  # the end of the program writes the rest
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": buffered}
    with subprocess.Popen(line, text=True, **pipes) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 128 + signal.SIGPIPE


def test_bad_checkpoints_are_named(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "x.ckpt"
    file.write_bytes(b"nonsense")
    broken = command("mode=sample_eval", f"eval.checkpoint_path={file}")
    assert broken.returncode == 2
    assert "truncated, corrupt or not a checkpoint" in broken.stderr.splitlines()[-1]
    torch.save({"a": 1}, file)
    foreign = command("mode=ppl_eval", f"eval.checkpoint_path={file}")
    assert foreign.returncode == 2
    assert "another program" in foreign.stderr.splitlines()[-1]
