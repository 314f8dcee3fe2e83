"""DUO and its distillation through the real entry point."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from storage import file_digest
from tests.modes.conftest import Command
from tests.modes.test_configs import compose


def state(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_distillation_then_evaluation_then_samples(command: Command, tmp_path: Path) -> None:
    """Under its other name; the teacher's training passes the end of its curriculum."""
    few = ["trainer.max_steps=5", "optim.lr=0.001", "checkpointing.every_n_steps=2"]
    taught = command("algo=duo", *few, f"checkpointing.save_dir={tmp_path}/duo")
    assert taught.returncode == 0, taught.stderr
    origin = f"training.finetune_path={tmp_path}/duo"
    rounds = ["algo.rounds=2", "algo.teacher=averaged", "algo.grid=4"]
    done = command("algo=distillation", *few, *rounds, origin)
    assert done.returncode == 0, done.stderr
    assert "took 20 of 20 weights" in done.stdout
    checkpoint, source = state(tmp_path / "run"), state(tmp_path / "duo")
    assert checkpoint["config"]["algo"]["name"] == "duo_distill"
    assert checkpoint["distillation"]["round"] == 1
    teacher = {f"backbone.{k}": v for k, v in checkpoint["distillation"]["teacher"].items()}
    assert teacher.keys() == source["state_dict"].keys() == checkpoint["state_dict"].keys()
    for weights in (checkpoint["state_dict"], checkpoint["ema"]["weights"], source["state_dict"]):
        assert not torch.equal(teacher["backbone.head.weight"], weights["backbone.head.weight"])

    results = f"results_dir={tmp_path}/results"
    run = f"eval.checkpoint_path={tmp_path}/run"
    for mode in ("ppl_eval", "sample_eval"):
        done = command(f"mode={mode}", "algo=distillation", run, results, "eval.passes=1")
        assert done.returncode == 0, done.stderr
    records = [json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")]
    assert {record["metric"] for record in records} == {"ppl", "samples"}
    for record in records:
        assert record["algo"] == "duo_distill"
        training = record["training"]
        assert training["distillation"] == {"rounds": 2, "teacher": "averaged"}
        assert training["finetuned_from"]["algo"] == "duo"
        assert training["finetuned_from"]["weights"] == "averaged"
        assert training["finetuned_from"]["steps"] == 5
        file = tmp_path / "duo/checkpoints/last.ckpt"
        assert training["finetuned_from"]["checkpoint_digest"] == file_digest(file)
    (ppl,) = (record for record in records if record["metric"] == "ppl")
    assert ppl["kind"] == "upper bound" and 5 < ppl["value"] < 1000


def test_algorithms_by_other_names() -> None:
    origin = "training.finetune_path=x"
    assert compose("algo=duo_base") == compose("algo=udlm")
    assert compose("algo=distillation", "mode=leaderboard", origin) == compose(
        "algo=duo_distill", "mode=leaderboard", origin
    )


REFUSED = {
    "algo=duo_distill": "training.finetune_path: algo=duo_distill needs the run of its teacher, "
    "such as one of algo=duo",
    "algo=distillation": "training.finetune_path: algo=duo_distill needs",
    "algo=duo algo.k=1": "algo.k=1: must be at least 2",
    "algo=duo algo.tau=0": "algo.tau=0: must be",
    "algo=duo algo.curriculum=x": "algo.curriculum='x': choose from efficient, full",
    "algo=duo algo.gamma_min=-1 algo.gamma_max=-3": "algo.gamma_min=-1: must be below "
    "algo.gamma_max=-3",
    "algo=duo algo.gamma_min=-9": "algo.gamma_min=-9: must be from -8 to 8",
    "algo=duo_distill algo.gamma_min=0 algo.gamma_max=-1 training.finetune_path=x": (
        "algo.gamma_min=0: must be below algo.gamma_max=-1"
    ),
    "algo=duo_distill algo.teacher=x training.finetune_path=x": "algo.teacher='x': choose from",
    "algo=duo_distill algo.divergence=x training.finetune_path=x": "algo.divergence='x': choose",
    "algo=duo_distill algo.teacher=averaged training.ema=0 training.finetune_path=x": "algo.teacher"
    "=averaged: needs training.ema above 0",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_distillation_is_refused_by_its_configuration(overrides: str) -> None:
    with pytest.raises(ValueError) as caught:
        compose(*overrides.split())
    assert str(caught.value).startswith(REFUSED[overrides])
    assert "\n" not in str(caught.value)
