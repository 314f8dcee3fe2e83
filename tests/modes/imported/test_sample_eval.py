"""Samples of published checkpoints, by the published commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.register import models
from tests.modes.imported.conftest import COMMIT

DUO = (
    "mode=sample_eval loader.batch_size=2 loader.eval_batch_size=8 data=openwebtext-split "
    "algo=duo_base algo.backbone=hf_dit eval.checkpoint_path=s-sahoo/duo-distilled "
    "sampling.steps=8 sampling.num_sample_batches=1 sampling.noise_removal=greedy "
    "+wandb.offline=true"
)
MDLM = (
    "mode=sample_eval eval.checkpoint_path=kuleshov-group/mdlm-owt data=openwebtext-split "
    "model.length=16 sampling.predictor=ddpm_cache sampling.steps=8 loader.eval_batch_size=1 "
    "sampling.num_sample_batches=2 backbone=hf_dit"
)


@pytest.fixture
def no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*settings: Any, **of_run: Any) -> None:
        raise AssertionError(f"reads {settings}")

    monkeypatch.setattr("modes.build.build_data", refuse)


def record_of(folder: Path) -> dict[str, Any]:
    (file,) = (folder / "here" / "results").glob("*.json")
    return json.loads(file.read_text())


@pytest.mark.usefixtures("no_text")
def test_command_of_duos_readme_draws_as_it_is_typed(
    cached: Callable[..., None], typed: Callable[[str], None], tmp_path: Path
) -> None:
    name = "s-sahoo/duo-distilled"
    cached(name, "hf/duo", models()[name])
    typed(DUO)
    record = record_of(tmp_path)
    assert record["algo"] == "duo_distill"
    assert record["network"]["vocab_size"] == 61
    training = record["training"]
    source = {"name": name, "format": "Hugging Face folder of duo", "revision": COMMIT}
    assert training["source"].items() >= source.items()
    assert [training[key] for key in ("steps", "tokens", "seed")] == [None] * 3
    assert record["count"] == 8 and record["sampler"]["noise_removal"] == "greedy"
    samples = json.loads((tmp_path / "here" / record["metrics"]["samples"]).read_text())["samples"]
    assert all(0 <= token < 61 for sample in samples for token in sample["tokens"])
    hub = [path for path in (tmp_path / "hub").rglob("*") if path.is_file()]
    assert {path.name for path in hub} == {"main", "config.json", "model.safetensors"}


@pytest.mark.usefixtures("no_text")
def test_command_of_mdlms_readme_draws_as_it_is_typed(
    cached: Callable[..., None], typed: Callable[[str], None], tmp_path: Path
) -> None:
    name = "kuleshov-group/mdlm-owt"
    cached(name, "hf/mdlm", models()[name])
    typed(MDLM)
    assert record_of(tmp_path)["algo"] == "mdlm"


@pytest.mark.usefixtures("no_text")
def test_samples_of_a_published_model_depend_on_the_seed_alone(
    checkpoints: Path, tokenizer: Path, typed: Callable[[str], None], tmp_path: Path
) -> None:
    line = (
        f"mode=sample_eval eval.checkpoint_path={checkpoints}/ckpt/sedd.ckpt "
        f"data.tokenizer_name_or_path={tokenizer} sampling.steps=4 loader.eval_batch_size=4"
    )
    for where in ("one", "two"):
        typed(f"{line} results_dir={where}")
    one, two = ((tmp_path / "here" / where).rglob("samples/*.json") for where in ("one", "two"))
    texts = [json.loads(next(files).read_text())["samples"] for files in (one, two)]
    assert texts[0] == texts[1]


REFUSED = {
    "eval.checkpoint_path=nobody/nothing": "download it first with `hf download nobody/nothing`",
    "eval.checkpoint_path={0}/hf/mdlm algo=duo {1}": "has algo=mdlm",
    "eval.checkpoint_path={0}/hf/mdlm model=small {1}": "model=small: its hidden_size=768",
    "eval.checkpoint_path={0}/hf/duo eval.disable_ema=true {1}": "has averaged weights alone",
    "eval.checkpoint_path={0}/hf/eso-lm": "Eso-LM attends in the order of unmasking",
    "eval.checkpoint_path={0}/hf/mdlm data.tokenizer_name_or_path=bytes": "a model of 60 tokens, "
    "the tokenizer has 257; data.tokenizer_name_or_path=bytes does not fit",
    "eval.checkpoint_path={0}/hf/mdlm data.tokenizer_name_or_path=text8": "the tokenizer has 28, "
    "none for the ids 28 to 59",
    "eval.checkpoint_path={0}/hf/mdlm": "nothing says its tokenizer",
    "eval.checkpoint_path={0}/hostile/truncated": "model.safetensors: truncated",
    "eval.checkpoint_path={0}/hf/mdlm/model.safetensors": "weights alone",
    "eval.checkpoint_path={0}/hf": "there is no checkpoint at",
}


@pytest.mark.parametrize("given", REFUSED)
def test_a_published_model_is_refused_in_one_line(
    given: str,
    checkpoints: Path,
    cached: Callable[..., None],
    typed: Callable[[str], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as ended:
        fits = f"data.tokenizer_name_or_path={checkpoints}/hf/gidd"
        typed(f"mode=sample_eval {given.format(checkpoints, fits)}")
    assert ended.value.code == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(error) == 1 and REFUSED[given] in error[0]
    assert not list((tmp_path / "here").iterdir())
