"""Hostile and damaged files are refused in one line that names what is wrong, or read without
effect."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hub.open import open_model
from training.checkpoint import read_checkpoint, weights_of

REFUSED = {
    "pwn.ckpt": "posix.system",
    "ema_short.ckpt": "shadow_params",
    "missing_key": "blocks.0.norm2.weight",
    "extra_key": "blocks.0.attn_gate.weight",
    "wrong_shape": "output_layer.linear.weight",
    "truncated": "model.safetensors",
    "lambda_bin": "pytorch_model.bin",
    "shard_outside": "../base/model.safetensors",
    "shard_missing": "model-00002-of-00002.safetensors",
    "config_lies": "n_blocks",
}
READ = ("base.ckpt", "base", "instantiator.ckpt", "auto_map")

pytestmark = pytest.mark.usefixtures("nothing_runs")


@pytest.mark.parametrize("name", REFUSED)
def test_open_model_refuses_a_hostile_file_by_name(name: str, checkpoints: Path) -> None:
    path = checkpoints / "hostile" / name
    with pytest.raises(ValueError) as refusal:
        open_model(str(path), "training.finetune_path")
    message = str(refusal.value)
    assert message.startswith(f"training.finetune_path={path}: ")
    assert REFUSED[name] in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", READ)
def test_open_model_reads_good_weights_beside_code_that_never_runs(
    name: str, checkpoints: Path
) -> None:
    assert open_model(str(checkpoints / "hostile" / name)).vocab_size == 60


def test_hostile_files_are_all_tried(checkpoints: Path) -> None:
    index = json.loads((checkpoints / "index.json").read_text())
    listed = {Path(entry["file"]).name: entry for entry in index["hostile"]}
    assert listed.keys() == {*REFUSED, *READ} - {"base.ckpt", "base"}
    for name, entry in listed.items():
        assert name in REFUSED or entry["expect"] != "refuse"
        assert all(named in REFUSED[name] for named in entry["message_must_name"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hf/eso-lm", "Eso-LM attends in the order of unmasking"),
        ("hf", "no config.json in it"),
        ("hf/mdlm/model.safetensors", "weights alone"),
        ("local/gidd_v1.0.1/model.pt", "not a checkpoint of Lightning"),
        ("hf/mdlm/config.json", "truncated, changed or not of torch.save"),
    ],
)
def test_open_model_says_which_files_it_cannot_use(
    name: str, reason: str, checkpoints: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        open_model(str(checkpoints / name))


def test_open_model_refuses_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"eval\.checkpoint_path=.*: no such file or folder"):
        open_model(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="not a name of the Hugging Face Hub"):
        open_model("a name: with spaces")


def test_open_model_takes_a_training_folder_or_its_checkpoint(checkpoints: Path) -> None:
    folder = checkpoints / "local" / "sedd"
    whole = open_model(str(folder))
    file = open_model(str(folder / "checkpoints-meta" / "checkpoint.pth"))
    assert whole.digest == file.digest
    assert whole.checkpoint["global_step"] == 20002


def test_imported_model_refuses_a_tokenizer_that_does_not_fit(imported: Any) -> None:
    with pytest.raises(ValueError, match="a model of 60 tokens, the tokenizer has 59"):
        imported("hf/mdlm").extra_states(59)
    with pytest.raises(ValueError, match="a model of 61 tokens, the tokenizer has 62"):
        imported("hf/duo").extra_states(62)


def test_imported_model_says_whether_its_weights_are_averaged(imported: Any) -> None:
    assert imported("ckpt/mdlm.ckpt").averaged
    assert imported("hf/mdlm").averaged
    assert not imported("hf/gidd").averaged


@pytest.mark.parametrize("name", ["ckpt/mdlm.ckpt", "ckpt/duo_distilled.ckpt", "hf/gidd"])
def test_imported_checkpoint_is_one_of_this_suite(name: str, imported: Any, tmp_path: Path) -> None:
    """Saved and read again as a run's, it has the same weights."""
    checkpoint = imported(name).checkpoint
    torch.save(checkpoint, tmp_path / "run.ckpt")
    read = read_checkpoint(tmp_path / "run.ckpt")
    assert read["config"] == checkpoint["config"]
    for averaged in (True, False):
        weights = weights_of(read, averaged)
        for key, tensor in weights_of(checkpoint, averaged).items():
            assert torch.equal(weights[key], tensor)
