"""Folders of the Hub and training folders: their configurations and how weights are stored."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hub.open import open_model
from tests.hub.files import HUB, SIZES, hub_folder, sharded, weights

SEDD = {
    "tokens": 9,
    "graph": {"type": "uniform"},
    "noise": {"type": "geometric", "sigma_min": 1e-4, "sigma_max": 20},
    "model": SIZES | {"scale_by_sigma": False},
}
GIDD = {
    "model": {
        **{name: size for name, size in SIZES.items() if name != "length"},
        "max_seq_len": 6,
        "type": "diffusion",
        "diffusion_process": "gidd",
        "p_uniform": 0.2,
    },
    "data": {"dataset_name": "corpus", "tokenizer_name": "gpt2"},
}


@pytest.mark.parametrize(
    ("config", "algo", "states"),
    [
        (HUB | {"model_type": "mdlm"}, {"name": "mdlm", "time_conditioning": False}, 8),
        (
            HUB | {"model_type": "mdlm", "time_conditioning": True},
            {"name": "mdlm", "time_conditioning": True},
            8,
        ),
        (HUB | {"model_type": "udlm", "time_conditioning": True}, {"name": "udlm"}, 9),
        (HUB | {"model_type": "duo"}, {"name": "duo", "max_steps": 1, "curriculum_steps": 0}, 9),
    ],
)
def test_hub_folder_says_the_algorithm(
    config: dict[str, Any], algo: dict[str, Any], states: int, tmp_path: Path
) -> None:
    tensors = {f"backbone.{name}": tensor for name, tensor in weights(9).items()}
    model = open_model(str(hub_folder(tmp_path, config | {"vocab_size": 9}, tensors)))
    assert model.checkpoint["config"]["algo"] == algo
    assert (model.vocab_size, model.tokenizer, model.averaged) == (states, None, True)
    assert model.checkpoint["config"]["model"]["length"] == 6


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "llama"}, "model_type=llama: must be one of those that are known here"),
        ({}, "model_type=None"),
        ({"model_type": ["mdlm"]}, "model_type=<list>"),
        (
            {"model_type": "duo", "time_conditioning": False},
            "time_conditioning=False: must be true",
        ),
        ({"model_type": "udlm", "cfg": True}, "cfg=True"),
        ({"model_type": "mdlm", "hidden_dim": "8"}, "hidden_dim=8: must be an integer"),
        ({"model_type": "mdlm", "hidden_dim": 2**40}, "hidden_dim=1099511627776: must be an int"),
        ({"model_type": "mdlm", "vocab_size": 10}, "has 9 rows, the configuration 10"),
        (SEDD | {"noise": {"type": "cosine"}}, "noise.type=cosine"),
        (SEDD | {"noise": {"type": "geometric", "sigma_min": 1}}, "noise.sigma_max=None"),
        (SEDD | {"graph": {"type": "absorb"}}, "model.scale_by_sigma=False: must be true"),
    ],
)
def test_hub_folder_that_nothing_here_computes_is_refused(
    config: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    base = {} if "graph" in config else HUB | {"vocab_size": 9}
    folder = hub_folder(tmp_path, base | config, weights(9))
    with pytest.raises(ValueError, match=reason):
        open_model(str(folder))


def test_hub_folder_in_shards_is_the_same_model(tmp_path: Path) -> None:
    config = HUB | {"model_type": "mdlm", "vocab_size": 9}
    whole = open_model(str(hub_folder(tmp_path / "whole", config, weights(9))))
    parts = open_model(str(sharded(hub_folder(tmp_path / "parts", config, weights(9)))))
    for name, tensor in whole.checkpoint["state_dict"].items():
        assert torch.equal(parts.checkpoint["state_dict"][name], tensor)


def test_hub_folder_in_shards_has_each_weight_where_the_index_says(tmp_path: Path) -> None:
    config = HUB | {"model_type": "mdlm", "vocab_size": 9}
    folder = sharded(hub_folder(tmp_path, config, weights(9)))
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    del index["weight_map"]["blocks.0.norm1.weight"]
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"blocks.0.norm1.weight is in the file or in"):
        open_model(str(folder))


@pytest.mark.parametrize("content", ["[", "[]", "{" * 10**5])
def test_hub_folder_whose_configuration_is_no_object_is_refused(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json: not (JSON|a JSON object)"):
        open_model(str(tmp_path))


def test_hub_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(HUB | {"model_type": "mdlm"}))
    with pytest.raises(ValueError, match="no weights"):
        open_model(str(tmp_path))


def test_sedd_folder_with_uniform_noise_has_no_mask(tmp_path: Path) -> None:
    model = open_model(str(hub_folder(tmp_path, SEDD, weights(9))))
    config = model.checkpoint["config"]
    assert (model.vocab_size, model.mask) == (9, None)
    assert config["algo"] == {"name": "sedd_uniform"}
    assert config["noise"] == {"name": "geometric", "sigma_min": 1e-4, "sigma_max": 20}


def gidd_folder(folder: Path, rows: int, dtype: torch.dtype, pad: str | None) -> str:
    """A training folder with `rows` rows; the mask is the id 6, the padding 5 or EOS."""
    (folder / "config.yaml").write_text(json.dumps(GIDD))  # which is YAML, too
    torch.save({k: tensor.to(dtype) for k, tensor in weights(rows).items()}, folder / "model.pt")
    if pad is not None:
        tokenizer = {
            "eos_token": "<|endoftext|>",
            "pad_token": pad,
            "mask_token": "[MASK]",
            "added_tokens_decoder": {"5": {"content": "[PAD]"}, "6": {"content": "[MASK]"}},
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return str(folder)


def test_gidd_folder_of_the_released_version_has_the_mask_last(tmp_path: Path) -> None:
    model = open_model(gidd_folder(tmp_path, 7, torch.float32, "<|endoftext|>"))
    assert model.checkpoint["config"]["algo"] == {
        "name": "gidd",
        "p_uniform": 0.2,
        "version": "1.0",
    }
    assert (model.vocab_size, model.mask, model.averaged) == (6, 6, False)


def test_gidd_folder_of_the_current_version_has_padding_as_a_state(tmp_path: Path) -> None:
    """Its rows, a multiple of 128 of them in bfloat16, stand for nothing beyond the mask."""
    model = open_model(gidd_folder(tmp_path, 128, torch.bfloat16, "[PAD]"))
    state = model.checkpoint["state_dict"]
    assert model.checkpoint["config"]["algo"]["version"] == "1.1"
    assert (model.vocab_size, model.mask) == (6, 6)
    assert state["backbone.embedding.weight"].shape == (7, 8)
    assert state["backbone.head.weight"].shape == (6, 8)


def test_gidd_folder_without_a_tokenizer_does_not_say_which_row_is_the_mask(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which of the rows is the mask is not known"):
        open_model(gidd_folder(tmp_path, 128, torch.float32, None))


def test_gidd_folder_of_another_process_is_refused(tmp_path: Path) -> None:
    folder = gidd_folder(tmp_path, 7, torch.float32, None)
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace('"gidd"', '"mdlm"'))
    with pytest.raises(ValueError, match=r"model\.diffusion_process=mdlm"):
        open_model(folder)
    (tmp_path / "config.yaml").write_text("a: &a {b: c}\nd: {<<: *a}")
    with pytest.raises(ValueError, match="merges mappings"):
        open_model(folder)
