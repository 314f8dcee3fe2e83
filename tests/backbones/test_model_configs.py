"""Every file of configs/model is the keyword arguments of a network."""

from pathlib import Path

import pytest
import torch
import yaml

from backbones.dit import DiT

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "model"
KEYS = {
    "name",
    "hidden_size",
    "cond_dim",
    "length",
    "n_blocks",
    "n_heads",
    "dropout",
    "attention",
    "activation_checkpointing",
    "compile",
}


def read(name: str) -> dict:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def test_the_promised_sizes_exist() -> None:
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert names >= {"nano", "tiny", "small", "base", "medium"}
    assert read("base") == {**read("medium"), "name": "base"}


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
@pytest.mark.parametrize("causal", [False, True])
def test_every_file_builds_a_network(name: str, causal: bool) -> None:
    keywords = read(name)
    assert set(keywords) == KEYS
    assert keywords.pop("name") == name
    with torch.device("meta"):
        net = DiT(vocab_size=50257, causal=causal, **keywords)
    assert len(net.blocks) == keywords["n_blocks"]
    assert net.head.weight.shape == (50257, keywords["hidden_size"])
