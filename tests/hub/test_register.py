"""The register of published models agrees with the rest of the project, and completes what their
files leave open."""

import csv
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hub.open import open_model
from hub.register import Model, models
from tests.hub.files import HUB, hub_folder, weights

ROOT = Path(__file__).resolve().parents[2]


def results() -> dict[str, dict[str, str]]:
    """The published numbers by id."""
    with (ROOT / "leaderboard" / "published" / "results.csv").open(encoding="utf-8") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.name)
def test_register_names_what_there_is(model: Model) -> None:
    assert (ROOT / "configs" / "algo" / f"{model.algorithm}.yaml").is_file()
    assert (ROOT / "configs" / "data" / f"{model.corpus}.yaml").is_file()
    if model.published is not None:
        assert results()[model.published]["algo"] == model.algorithm
        assert model.protocol is not None
    if model.protocol is not None:
        protocol = OmegaConf.load(ROOT / "configs" / "protocol" / f"{model.protocol}.yaml")
        assert protocol.model.length == model.length


def registered(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Makes the name stand for a small folder, with a row of the register that fits it."""
    row = Model(name, "mdlm", "Hugging Face folder of mdlm", 9, 3, 6, "bytes", "text8", None, None)
    monkeypatch.setattr("hub.open.models", lambda: {name: row._replace(**changes)})
    monkeypatch.setattr("hub.open.hub_folder", lambda name: folder)


def test_register_completes_a_model_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_folder(tmp_path, HUB | {"model_type": "mdlm", "vocab_size": 9}, weights(9))
    registered("someone/model", folder, monkeypatch)
    model = open_model("someone/model@v1")
    assert (model.mask, model.tokenizer) == (3, "bytes")
    assert model.checkpoint["config"]["data"]["name"] == "text8"


def test_register_knows_which_model_was_distilled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm_of: Any
) -> None:
    folder = hub_folder(tmp_path, HUB | {"model_type": "duo", "vocab_size": 9}, weights(9))
    format = "Hugging Face folder of duo"
    registered("a/b", folder, monkeypatch, algorithm="duo_distill", format=format, mask=None)
    model = open_model("a/b")
    algorithm = algorithm_of(model)
    algorithm.on_load_checkpoint(model.checkpoint)
    assert model.checkpoint["config"]["algo"]["name"] == "duo_distill"
    assert model.algorithms == {"udlm", "duo", "duo_distill"}


def test_register_refuses_files_of_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_folder(tmp_path, HUB | {"model_type": "mdlm", "vocab_size": 9}, weights(9))
    registered("a/b", folder, monkeypatch, rows=50258)
    with pytest.raises(ValueError, match="of 9 rows and length 6, where the published model"):
        open_model("a/b")


def command_of(model: Model) -> str:
    """The command that measures the published number of a model again."""
    line = f"python main.py mode=ppl_eval eval.checkpoint_path={model.name}"
    if model.protocol is None:
        return line.replace("ppl_eval", "sample_eval") + (
            " sampling.steps=8 sampling.noise_removal=greedy eval.quality_protocol=duo "
            "eval.gen_ppl_eval_model_name_or_path=gpt2-large"
        )
    row = results().get(model.published or "")
    texts = {"openwebtext": model.corpus, "lm1b": model.corpus}
    data = texts.get(row["dataset"], row["dataset"]) if row else model.corpus
    return f"{line} protocol={model.protocol} data={data}"


@pytest.mark.parametrize("model", models().values(), ids=lambda model: model.name)
def test_page_has_the_command_and_the_number_of_every_model(model: Model) -> None:
    page = (ROOT / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {model.name} |")]
    assert f"`{command_of(model)}`" in line
    row = results().get(model.published or "")
    if row is not None:
        assert f"| {row['value']} ({row['arxiv']}, {row['location']}) |" in line
