"""The text pipeline, beside the commands that it stands for."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import hub
from hub import GiddPipeline, TextPipeline
from tests.modes.conftest import Command

TINY = ["data=text", "data.tokenizer_name_or_path=bytes", "model=tiny", "model.length=16"]
TINY += ["model.hidden_size=16", "model.n_blocks=1", "model.n_heads=2", "model.cond_dim=8"]
TINY += ["trainer.max_steps=3", "loader.global_batch_size=4", "trainer.val_check_interval=3"]
TEXT = "to be, or not to be, that is the question. " * 40
QUIET: dict[str, Any] = {"progress": False}


@pytest.fixture
def trained(command: Command, tmp_path: Path) -> Any:
    """A function from an algorithm to the directory of a short run."""

    def make(*overrides: str) -> Path:
        (tmp_path / "text.txt").write_text(TEXT)
        done = command("mode=train", *TINY, f"data.path={tmp_path}/text.txt", *overrides)
        assert done.returncode == 0, done.stderr
        return tmp_path / "run"

    return make


def newest(folder: Path) -> dict[str, Any]:
    files = sorted((folder / "results").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return json.loads(files[-1].read_text())


@pytest.mark.parametrize("algo", ["ar", "mdlm", "gidd"])
def test_pipeline_draws_the_texts_of_sample_eval(
    algo: str, trained: Any, command: Command, tmp_path: Path
) -> None:
    run = trained(f"algo={algo}")
    line = ["sampling.steps=4", "sampling.temperature=0.8", "sampling.prompt=to be"]
    line += ["loader.eval_batch_size=3", "sampling.num_sample_batches=2", "seed=7"]
    done = command("mode=sample_eval", f"eval.checkpoint_path={run}", *line)
    assert done.returncode == 0, done.stderr
    samples = json.loads(Path(newest(tmp_path)["metrics"]["samples"]).read_text())
    pipe = TextPipeline.from_pretrained(run, device="cpu")
    texts = pipe.generate(6, 4, prompt="to be", temperature=0.8, seed=7, batch_size=3, **QUIET)
    assert texts.tokens == [row["tokens"] for row in samples["samples"]]
    assert list(texts) == [row["text"] for row in samples["samples"]]
    assert all(text.startswith("to be") for text in texts)


@pytest.mark.parametrize("algo", ["ar", "mdlm"])
def test_pipeline_likelihood_is_that_of_ppl_eval(
    algo: str, trained: Any, command: Command, tmp_path: Path
) -> None:
    """Of the blocks that were evaluated: the mean per token within both errors, exact for AR."""
    run = trained(f"algo={algo}")
    done = command("mode=ppl_eval", f"eval.checkpoint_path={run}", "eval.passes=64")
    assert done.returncode == 0, done.stderr
    record = newest(tmp_path)
    pipe = TextPipeline.from_pretrained(run, device="cpu")
    held_out = TEXT[int(len(TEXT) * 0.9) :]
    blocks = [held_out[start : start + 15] for start in range(0, len(held_out) - 15, 15)]
    nats = pipe.likelihood(blocks, passes=64, **QUIET)
    tokens = sum(row.tokens for row in nats)
    mean = sum(row.nats for row in nats) / tokens
    error = math.sqrt(sum(float(row.stderr or 0) ** 2 for row in nats)) / tokens
    assert (error == 0) is (algo == "ar")
    # the last block of the command is shorter and ends with an EOS
    assert mean == pytest.approx(record["metrics"]["nats_per_token"], abs=0.05 + 5 * error)


def test_pipeline_corrects_what_it_drew(trained: Any) -> None:
    pipe = GiddPipeline.from_pretrained(trained("algo=gidd"), device="cpu")
    texts = pipe.generate(4, 4, **QUIET)
    better = pipe.self_correction(texts, 8, temperature=0.1, seed=3, **QUIET)
    assert len(better) == 4 and better.tokens != texts.tokens
    assert better == pipe.self_correction(texts, 8, temperature=0.1, seed=3, **QUIET)
    assert [row[0] for row in better.tokens] == [pipe.tokenizer.bos] * 4


def test_pipeline_fills_gaps(trained: Any) -> None:
    pipe = TextPipeline.from_pretrained(trained("algo=mdlm"), device="cpu")
    (text,) = pipe.generate(1, 4, infill="to [...3] or", **QUIET)
    assert text.startswith("to ") and text.endswith(" or")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a predictor": ({"predictor": "psi2"}, "sampling.predictor=psi2: algo=mdlm can use"),
    "a key": ({"temprature": 1.0}, "sampling.temprature: "),
    "a value": ({"temperature": -1.0}, "sampling.temperature=-1.0: must be"),
    "a length": ({"length": 17}, "sampling.length=17: between 2 and model.length=16"),
    "of commands": ({"sweep": {"steps": [1]}}, "sampling.sweep: of commands alone"),
    "a count": ({"num_samples": 0}, "num_samples=0: must be a whole number of at least 1"),
}


def test_pipeline_refuses_as_the_command_does(trained: Any) -> None:
    pipe = TextPipeline.from_pretrained(trained("algo=mdlm"), device="cpu")
    for options, said in REFUSED.values():
        with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
            pipe.generate(**(QUIET | options))
        assert said in str(caught.value)
    with pytest.raises(ValueError, match=r"sampling\.self_correction=4: algo=mdlm cannot"):
        pipe.self_correction(["to be"], 4, **QUIET)
    with pytest.raises(ValueError, match=r"texts\[1\]: 41 tokens with BOS"):
        pipe.likelihood(["to be", "a" * 40], **QUIET)
    with pytest.raises(ValueError, match="a list of texts"):
        pipe.likelihood("to be", **QUIET)


def test_pipeline_says_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^name=.*/nothing: there is no checkpoint at [^\n]*$"):
        TextPipeline.from_pretrained(tmp_path / "nothing")
    with pytest.raises(AttributeError, match="no attribute 'Pipeline'"):
        hub.Pipeline  # noqa: B018


@pytest.mark.parametrize("file", ["hf/gidd", "hf/mdlm", "hf/duo", "hf/sedd", "ckpt/ar.ckpt"])
def test_pipeline_opens_published_models(file: str, checkpoints: Path) -> None:
    tokenizer = str(checkpoints / "hf" / "gidd")
    pipe = TextPipeline.from_pretrained(checkpoints / file, tokenizer=tokenizer, device="cpu")
    texts = pipe.generate(2, 3, **QUIET)
    assert texts == pipe.generate(2, 3, **QUIET) != pipe.generate(2, 3, seed=2, **QUIET)
    assert [len(row) for row in texts.tokens] == [16, 16]
    for row in pipe.likelihood(texts, passes=2, **QUIET):
        assert torch.isfinite(torch.tensor(row.nats))
