"""Block diffusion by the commands: trained, from an MDLM run too, its clip searched, evaluated,
sampled at any length, exported; and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import main
from modes.export import run as export
from modes.ppl_eval import run as ppl_eval
from modes.sample_eval import run as sample_eval
from modes.train import run as train
from tests.composed import compose, composed

BLOCKS = ["algo=bd3lm", "algo.block_size=4", "data.framing=bos"]
Run = Callable[..., str]


@pytest.fixture
def run(arguments: list[str], capsys: pytest.CaptureFixture) -> Run:
    """Runs a mode in this process; what it printed."""

    def call(mode: Any, *overrides: str, base: bool = True) -> str:
        given = [*(arguments if base else []), *overrides]
        settings = composed(*given)
        main.check(settings, main.keys_of(given))
        (mode if callable(mode) else mode.run)(settings, given, compose)
        return capsys.readouterr().out

    return call


def records(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "results").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return [json.loads(file.read_text()) for file in files]


def drawn(record: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(Path(record["metrics"]["samples"]).read_text())["samples"]


def test_bd3lm_from_an_mdlm_run_to_an_export(run: Run, tmp_path: Path) -> None:
    run(train, "algo=mdlm", "trainer.max_steps=4", f"checkpointing.save_dir={tmp_path}/first")
    begins = [f"training.finetune_path={tmp_path}/first", "algo.clip_search=true"]
    shown = run(train, *BLOCKS, *begins, "trainer.max_steps=4")
    assert "took 30 of 30 weights" in shown or "weights (" in shown
    assert "not there" not in shown and "not used" not in shown
    checkpoint = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    low, rest = checkpoint["clip"]
    assert 1 - rest - low >= 0.5 - 1e-9 and (low, rest) != (0.001, 0.0)
    run(train, *BLOCKS, *begins, "trainer.max_steps=6")  # it goes on with that clip
    places = [f"eval.checkpoint_path={tmp_path}/run", f"results_dir={tmp_path}/results"]
    places += ["trainer.accelerator=cpu", "loader.eval_batch_size=8"]
    few = ["eval.passes=2", "data.max_eval_blocks=8"]
    run(ppl_eval, "mode=ppl_eval", *places, *few, base=False)
    shown = run(ppl_eval, "mode=ppl_eval", *places, *few, "eval.order=confidence", base=False)
    assert "1 per step: 4 network evaluations per text of" in shown
    bound, exact = records(tmp_path)
    assert bound["kind"] == "upper bound" and bound["algo"] == "bd3lm"
    assert bound["training"]["clip"]["low"] >= 0.001
    assert exact["kind"] == "exact under confidence, 1 per step"
    assert exact["metrics"]["network_evaluations"] == 4, "all blocks at once"
    draw = ["mode=sample_eval", *places, "sampling.steps=4", "sampling.length=42"]
    for cache in ("true", "false"):
        run(sample_eval, *draw, f"sampling.cache={cache}", base=False)
    kept, again = records(tmp_path)[2:]
    texts = [
        json.loads(Path(one["metrics"]["samples"]).read_text())["samples"] for one in (kept, again)
    ]
    assert texts[0] == texts[1] and {len(text["tokens"]) for text in texts[0]} == {42}
    assert kept["metrics"]["positions_read"] < again["metrics"]["positions_read"] / 3
    assert "cache" not in kept["protocol"] and again["protocol"]["cache"] is False
    assert kept["protocol"]["block_size"] == 4
    run(sample_eval, *draw, "sampling.until_eos=true", "sampling.prompt=12 bottles", base=False)
    ended = records(tmp_path)[-1]
    rows = drawn(ended)
    assert all(row["text"].startswith("12 bottles") for row in rows)
    end = ended["protocol"]["end"]
    assert all(end not in row["tokens"][11:-1] for row in rows)
    more = [f"eval.checkpoint_path={tmp_path}/run", f"export.path={tmp_path}/model"]
    run(export, "mode=export", *more, "export.layout=published", base=False)
    assert json.loads((tmp_path / "model/config.json").read_text())["block_size"] == 4
    with pytest.raises(ValueError, match=r"export.layout=suite: its file of code knows no block"):
        run(export, "mode=export", more[0], f"export.path={tmp_path}/other", base=False)


REFUSED = {
    "algo.block_size=5": "algo.block_size=5: must divide model.length=16",
    "algo.block_size=0": "algo.block_size=0: must be at least 1",
    "algo.noise=both": "algo.noise='both': choose from masked, uniform",
    "algo.sampling_eps_min=0.9 algo.sampling_eps_max=0.5": "algo.sampling_eps_min=0.9: must be",
    "algo.sampling_eps_min=0.3 algo.sampling_eps_max=0.4": "algo.resample=true: no share of",
    "training.sampling_eps=0.1": "training.sampling_eps=0.1: algo=bd3lm draws its times between",
    "algo.noise=uniform sampling.predictor=ordered": (
        "sampling.predictor=ordered: algo=bd3lm with noise=uniform has uniform noise"
    ),
    "algo.noise=uniform sampling.predictor=first_hitting": (
        "sampling.predictor=first_hitting: algo=bd3lm with noise=uniform can use"
    ),
    "algo.noise=uniform sampling.predictor=ancestral_cache": (
        "sampling.predictor=ancestral_cache: algo=bd3lm with noise=uniform can use"
    ),
    "sampling.predictor=semi_ar": "sampling.predictor=semi_ar: algo=bd3lm can use",
    "sampling.predictor=ordered sampling.per_step=5": "sampling.per_step=5: at most 4",
    "sampling.animate=true": "sampling.animate=true: algo=bd3lm draws one block after another",
    "sampling.guidance=1 sampling.prompt=x": "sampling.guidance=1: algo=bd3lm has no prediction",
    "sampling.self_correction=3": "sampling.self_correction=3: algo=bd3lm cannot",
    "algo=mdlm sampling.cache=true": "sampling.cache=true: algo=mdlm has none",
    "algo=ar sampling.cache=false": "sampling.cache=false: algo=ar reads nothing without one",
    "algo=udlm sampling.until_eos=true": "sampling.until_eos=true: algo=udlm draws texts of one",
}


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_blocks_cannot_be_is_refused_in_a_line(overrides: str) -> None:
    given = ["algo=bd3lm", "algo.block_size=4", "model.length=16", *overrides.split()]
    if "algo=" in overrides.replace("algo.", ""):
        given = overrides.split()
    with pytest.raises(ValueError) as caught:
        main.check(composed(*given), main.keys_of(given))
    assert str(caught.value).startswith(REFUSED[overrides])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("algo", ["ar", "bd3lm"])
def test_a_cache_where_there_is_one_is_accepted(algo: str) -> None:
    given = [f"algo={algo}", "sampling.cache=true"]
    main.check(composed(*given), main.keys_of(given))
