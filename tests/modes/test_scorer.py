"""Generative perplexity through the real entry point, against the scorer's own nats."""

import json
import math
from pathlib import Path

import pytest
import torch

from modes import trained_run
from modes.scorer import KEY
from modes.settings import typed
from tests.changed import changed
from tests.modes.conftest import Command
from training.checkpoint import read_checkpoint


def reread(run: Path, samples: list[dict]) -> float:
    """exp of the mean nats of all tokens behind BOS, by the scorer's network and log_softmax."""
    settings = changed(typed(read_checkpoint(run)["config"]), eval={"checkpoint_path": str(run)})
    scorer = trained_run.restore(trained_run.open_run(settings, []))
    tokens = torch.tensor([sample["tokens"] for sample in samples])
    with torch.no_grad():
        log_p = scorer.backbone.head(scorer.backbone(tokens[:, :-1])).log_softmax(-1)
    return math.exp(-float(log_p.gather(-1, tokens[:, 1:, None]).double().mean()))


def test_ar_scorer_of_samples_is_an_ar_run(command: Command, tmp_path: Path) -> None:
    for algo in ("ar", "mdlm"):
        done = command(
            f"algo={algo}", "trainer.max_steps=6", f"checkpointing.save_dir={tmp_path}/{algo}"
        )
        assert done.returncode == 0, done.stderr
    places = [f"eval.checkpoint_path={tmp_path}/mdlm", f"results_dir={tmp_path}/results"]
    line = ["mode=sample_eval", *places, "sampling.steps=4", "loader.eval_batch_size=70"]

    done = command(*line, f"{KEY}={tmp_path}/ar", base=False)
    assert done.returncode == 0, done.stderr
    assert "entropy" in done.stdout and "generative perplexity" in done.stdout
    (file,) = (tmp_path / "results").glob("*.json")
    metrics = json.loads(file.read_text())["metrics"]
    assert metrics["gen_ppl_tokens"] == 70 * 15
    samples = json.loads(Path(metrics["samples"]).read_text())["samples"]
    assert metrics["gen_ppl"] == pytest.approx(reread(tmp_path / "ar", samples), rel=1e-5)
    assert 0 < metrics["gen_ppl_stderr"] < metrics["gen_ppl"]

    refused = command(*line, f"{KEY}={tmp_path}/mdlm", base=False)
    assert refused.returncode == 2
    assert "a run of algo=ar is needed, this one has algo=mdlm" in refused.stderr
    assert len(list((tmp_path / "results").glob("*.json"))) == 1
