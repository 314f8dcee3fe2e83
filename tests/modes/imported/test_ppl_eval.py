"""Perplexity of published checkpoints: the losses of the published programs, by our commands."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir

import main
from modes import trained_run
from tests.hub.test_published_numbers import nats
from tests.modes.conftest import Command


@pytest.mark.parametrize(
    ("file", "recorded"),
    [
        ("ckpt/mdlm.ckpt", "ckpt_mdlm"),
        ("ckpt/duo_base.ckpt", "ckpt_duo_base"),
        ("ckpt/d3pm.ckpt", "ckpt_d3pm"),
        ("hf/duo", "hf_duo"),
        ("hf/sedd", "hf_sedd"),
        ("local/gidd_v1.0.1", "local_gidd"),
    ],
)
def test_model_of_an_evaluation_has_the_mean_of_the_published_losses(
    file: str, recorded: str, checkpoints: Path, tokenizer: Path
) -> None:
    """At the recorded times and noise, with the weights that the published evaluation takes."""
    given = ["mode=ppl_eval", f"eval.checkpoint_path={checkpoints / file}"]
    given += [f"data.tokenizer_name_or_path={tokenizer}"]
    with initialize_config_dir(str(main.ROOT / "configs"), version_base="1.3"):
        run = trained_run.open_run(main.compose(given), given)
    algorithm = trained_run.restore(run)
    with np.load(checkpoints / "expected" / f"{recorded}.npz") as content:
        arrays = {key: torch.from_numpy(content[key]) for key in content.files}
    everywhere = torch.ones_like(arrays["x0"], dtype=torch.bool)
    batch = {"tokens": arrays["x0"], "scored": everywhere, "noised": everywhere}
    batch["index"] = torch.arange(len(everywhere))
    kind: Any = run.settings.algo.name
    mean = float(nats(algorithm, kind, batch, arrays).mean())
    assert mean == pytest.approx(float(arrays["nll"].mean()), rel=1e-4)


def test_perplexity_of_an_autoregressive_checkpoint_is_exact(
    checkpoints: Path, tokenizer: Path, command: Command, tmp_path: Path
) -> None:
    """The record's nats are those of the network that the file holds, over the blocks read."""
    given = f"data.tokenizer_name_or_path={tokenizer}"
    line = ["mode=ppl_eval", f"eval.checkpoint_path={checkpoints}/ckpt/ar.ckpt", given]
    values = []
    for _ in range(2):
        done = command(*line)
        assert done.returncode == 0, done.stderr
        newest = max((tmp_path / "results").glob("*.json"), key=lambda file: file.stat().st_mtime)
        record = json.loads(newest.read_text())
        values.append(record["value"])
    assert values[0] == values[1]
    assert record["kind"] == "exact" and record["stderr"] == 0
    assert math.log(record["value"]) == pytest.approx(record["metrics"]["nats_per_token"])
    assert record["training"]["source"]["format"] == "Lightning checkpoint"
    assert record["training"]["averaged_weights"] is True


def test_evaluation_whose_source_changed_meanwhile_is_another_one(
    checkpoints: Path, tokenizer: Path, typed: Callable[[str], None], tmp_path: Path
) -> None:
    """Two files under one name give two records, each with the digest of its own content."""
    line = f"mode=sample_eval data.tokenizer_name_or_path={tokenizer} sampling.steps=2 "
    line += f"loader.eval_batch_size=2 eval.checkpoint_path={tmp_path}/x.ckpt"
    for name in ("duo_mdlm.ckpt", "mdlm_compiled.ckpt"):
        (tmp_path / "x.ckpt").write_bytes((checkpoints / "ckpt" / name).read_bytes())
        typed(line)
    records = [json.loads(f.read_text()) for f in (tmp_path / "here" / "results").glob("*.json")]
    assert len({record["training"]["checkpoint_digest"] for record in records}) == 2
