"""Every file of configs/model is the keyword arguments of a network."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hydra import initialize_config_dir

import main
from backbones.dit import DiT

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "model"


def read(name: str) -> dict:
    with initialize_config_dir(str(FOLDER.parent), version_base="1.3"):
        return asdict(main.compose([f"model={name}"]).model)


def test_the_promised_sizes_exist() -> None:
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert names >= {"nano", "tiny", "small", "base", "medium"}
    assert read("base") == {**read("medium"), "name": "base"}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
@pytest.mark.parametrize("causal", [False, True])
def test_every_file_builds_a_network(name: str, causal: bool) -> None:
    keywords = read(name)
    assert keywords.pop("name") == name
    with torch.device("meta"):
        net = DiT(vocab_size=50257, causal=causal, **keywords)
    assert len(net.blocks) == keywords["n_blocks"]
    assert net.head.weight.shape == (50257, keywords["hidden_size"])
