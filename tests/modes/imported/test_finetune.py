"""Training that begins with a published checkpoint starts at its loss, with its states."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import CHECKPOINTS
from tests.modes.conftest import Command

DEPTH = ["model.n_blocks=2", "model.n_heads=4", "model.length=16"]
TOKENIZER = f"data.tokenizer_name_or_path={CHECKPOINTS}/hf/gidd"


def ppl(command: Command, folder: Path, path: Any, *more: str) -> dict[str, Any]:
    done = command("mode=ppl_eval", f"eval.checkpoint_path={path}", *more)
    assert done.returncode == 0, done.stderr
    newest = max((folder / "results").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return json.loads(newest.read_text())


@pytest.mark.parametrize(("algo", "width"), [("duo", 32), ("mdlm", 64)])
def test_finetuning_starts_at_the_loss_of_a_published_model(
    algo: str, width: int, command: Command, tmp_path: Path
) -> None:
    """With a learning rate of nothing the run evaluates as the model that it began with."""
    if not CHECKPOINTS.is_dir():
        pytest.skip(f"no published checkpoints at {CHECKPOINTS}")
    model = CHECKPOINTS / "hf" / algo
    network = [f"model.hidden_size={width}", f"model.cond_dim={width // 2}", *DEPTH]
    line = [f"algo={algo}", *network, TOKENIZER, "training.ema=0", "optim.lr=1e-12"]
    line += ["algo.curriculum_steps=1"] if algo == "duo" else []
    begun = [f"training.finetune_path={model}", "trainer.max_steps=2"]
    trained = command(*line, *begun)
    assert trained.returncode == 0, trained.stderr
    assert "took" in trained.stdout and "not taken" not in trained.stdout, trained.stdout
    theirs = ppl(command, tmp_path, model, TOKENIZER)
    ours = ppl(command, tmp_path, tmp_path / "run")
    assert ours["value"] == pytest.approx(theirs["value"], rel=1e-5)
    assert ours["network"] == theirs["network"] | {"name": ours["network"]["name"]}
    assert ours["training"]["finetuned_from"]["source"] == str(model)
    again = command(*line, f"training.finetune_path={model}", "trainer.max_steps=3")
    assert again.returncode == 0, again.stderr
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert len(last["state_dict"]["backbone.embedding.weight"]) == (62 if algo == "duo" else 61)
